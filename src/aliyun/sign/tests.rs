use super::*;

#[test]
fn names_are_sorted_by_byte_and_before_they_are_encoded() {
    let parameters = [("b", ""), ("A.1", "2"), ("a", "3"), ("A", "1"), ("A~", "4")];
    assert_eq!(*canonical(parameters), "A=1&A.1=2&A~=4&a=3&b=");
    assert_eq!(*canonical([]), "");
}
