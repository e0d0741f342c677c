use super::*;

#[test]
fn codes_are_found_whatever_their_case() {
    for code in Code::KNOWN {
        for text in [
            code.as_str().to_owned(),
            code.as_str().to_lowercase(),
            code.as_str().to_uppercase(),
        ] {
            assert_eq!(Code::parse(&text), *code, "{text}");
        }
    }
}

#[test]
fn a_family_is_treated_like_its_head() {
    for (text, code) in [
        ("Throttling.Service.Quota", Code::Throttling),
        ("InvalidSecurityToken.Whatever", Code::InvalidSecurityToken),
        ("MissingDomainName", Code::MissingParameter),
        ("InvalidParameter.Format", Code::InvalidParameter),
        ("MissingSecurityToken", Code::SecurityTokenMissing),
        ("InvalidSomething", Code::Unknown),
        ("", Code::Unknown),
    ] {
        assert_eq!(Code::parse(text), code, "{text}");
    }
}

#[test]
fn every_course_can_be_walked_to_its_end() {
    for code in Code::KNOWN {
        let course = code.rule().unwrap().course;
        let (last, _) = course.last().unwrap();
        assert!(
            [Class::Backoff, Class::Operator].contains(last),
            "{code:?} ends in {last}"
        );
        assert!(course.iter().all(|(_, times)| *times > 0), "{code:?}");
    }
    assert!(Code::Unknown.rule().is_none());
}

#[test]
fn signature_codes_echo_the_request() {
    for code in [
        "SignatureDoesNotMatch",
        "signaturedoesnotmatch",
        "IncompleteSignature",
        "InvalidAccessKeySecret",
        "InvalidSignatureMethod",
        "SignatureNonceUsed",
        "SomeNewSignatureCode",
    ] {
        assert!(echoes_the_request(code), "{code}");
    }
    assert!(!echoes_the_request("Certificate.Expired"));
}
