//! Pages of long answers.

use super::refusal::Refusal;
use super::request::Request;

/// The limits of an action's `PageSize` and the codes of its refusals.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageRules {
    pub(super) default_size: usize,
    pub(super) max_size: usize,
    pub(super) number_code: &'static str,
    pub(super) size_code: &'static str,
}

/// The page that a caller asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    /// Counted from 1.
    pub(super) number: usize,
    pub(super) size: usize,
}

impl Page {
    /// Reads `PageNumber` and `PageSize`.
    pub(super) fn read(request: &Request, rules: PageRules) -> Result<Self, Refusal> {
        let page = Self {
            number: read(request, "PageNumber", 1, rules.number_code)?,
            size: read(request, "PageSize", rules.default_size, rules.size_code)?,
        };
        if page.size > rules.max_size {
            return Err(not_supported("PageSize", rules.size_code));
        }
        Ok(page)
    }

    /// The items on this page.
    pub(super) fn cut<T>(self, items: Vec<T>) -> Vec<T> {
        let before = (self.number - 1).saturating_mul(self.size);
        items.into_iter().skip(before).take(self.size).collect()
    }
}

/// Reads a number of at least 1.
fn read(request: &Request, name: &str, default: usize, code: &str) -> Result<usize, Refusal> {
    let Some(text) = request.optional(name) else {
        return Ok(default);
    };
    let number = text.parse().ok().filter(|&number| number > 0);
    number.ok_or_else(|| not_supported(name, code))
}

fn not_supported(name: &str, code: &str) -> Refusal {
    Refusal::new(400, code, format!("The specified {name} is invalid."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_counted_from_one() {
        let cases = [
            ((1, 2), vec![1, 2]),
            ((2, 2), vec![3]),
            ((3, 2), vec![]),
            ((1, 50), vec![1, 2, 3]),
        ];
        for ((number, size), expected) in cases {
            let page = Page { number, size };
            assert_eq!(page.cut(vec![1, 2, 3]), expected, "{page:?}");
        }
    }
}
