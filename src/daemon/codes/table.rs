//! What comes of every answer of the cloud that is no success: the table of the tests and of the
//! documentation.
//!
//! A row tells: the code, or in brackets what came instead of one; its HTTP status; the calls if it is
//! answered once and then all is well; the calls of a week in which it is always answered; the pauses
//! between these; what `status` says at the end of the week; and at which failure in a row the alert
//! opens.
//!
//! Calls are counted as installs/read-backs/lists/orders; every certificate is read back once before it
//! is installed and once after. `~` is a pause that is spread by a tenth, `..` repeats it to the end.

use std::ops::RangeInclusive;
use std::time::Duration;

/// The list of `SetVodDomainSSLCertificate`, in its order.
pub(super) const INSTALLATION: &str = "
InvalidSSLProtocol.ValueNotSupported       | 400 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
SSLPub.MissingParameter                    | 400 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
SSLPri.MissingParameter                    | 400 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
InvalidSSLPub                              | 400 | 2/2/0/0 | 8/1/0/0        | 5s 24h..                       | blocked operator 2
InvalidSSLPri                              | 400 | 2/2/0/0 | 8/1/0/0        | 5s 24h..                       | blocked operator 2
Certificate.MissMatch                      | 400 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
InvalidCertificate.TooLong                 | 400 | 2/2/0/0 | 8/1/0/0        | 5s 24h..                       | blocked operator 2
InvalidCertName.TooLong                    | 400 | 2/2/0/0 | 3/1/12/0       | 5s 5s 24h..                    | blocked operator 3
AuthenticationFailed                       | 400 | 2/2/0/0 | 11/1/0/0       | 5s ~30s ~2m ~10m 24h..         | blocked operator 4
SetDomainCertificate.ParameterError        | 400 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
Certificate.StatusError                    | 400 | 2/2/0/0 | 5/1/12/0       | ~5s ~30s ~2m 5s 24h..          | blocked operator 4
DeleteFailed                               | 400 | 2/2/0/0 | 10/2/7/0       | ~5s ~30s 5s 24h..              | blocked operator 4
Certificate.NotFind                        | 400 | 2/2/0/0 | 3/1/12/0       | 5s 5s 24h..                    | blocked operator 3
Certificate.Duplicated                     | 400 | 2/3/2/0 | 4/2/14/0       | 5s 5s 5s 24h..                 | blocked operator 4
Certificate.FormatError                    | 400 | 2/2/0/0 | 8/1/0/0        | 5s 24h..                       | blocked operator 2
Certificate.KeyNull                        | 400 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
Key.Malformed                              | 400 | 2/2/0/0 | 8/1/0/0        | 5s 24h..                       | blocked operator 2
CertStorage.failed                         | 400 | 2/2/0/0 | 31-35/1/0/0    | ~5s ~30s ~2m ~10m ~1h ~6h..    | pending backoff 4
CertificateContent.Duplicated              | 400 | 2/3/2/0 | 4/2/14/0       | 5s 5s 5s 24h..                 | blocked operator 4
Certificate.Expired                        | 400 | 1/1/0/1 | 1/1/0/10-14    | 1h ~1m ~10m ~1h ~6h            | pending reissue 1
InvalidDomain.notOnline                    | 400 | 2/2/0/0 | 31-35/1/0/0    | ~5s ~30s ~2m ~10m ~1h ~6h..    | pending backoff 4
Decode.Error                               | 400 | 2/2/0/0 | 8/1/0/0        | 5s 24h..                       | blocked operator 2
sslPub.Error                               | 400 | 2/2/0/0 | 10/1/0/0       | ~5s ~30s 5s 24h..              | blocked operator 4
sslPri.Error                               | 400 | 2/2/0/0 | 10/1/0/0       | ~5s ~30s 5s 24h..              | blocked operator 4
DomainInSafeMode                           | 400 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
CreateCertificateFailed                    | 400 | 2/3/2/0 | 8/2/14/0       | 5s 5s 5s ~10m ~1h ~6h ~6h 24h.. | blocked operator 4
Abs.CertRegion.ValueNotSupported           | 400 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
CertNameAlreadyExists                      | 400 | 2/3/2/0 | 4/2/14/0       | 5s 5s 5s 24h..                 | blocked operator 4
InvalidDomain.Offline                      | 400 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
DomainOwnerVerifyFail                      | 400 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
DomainInProtectedMode                      | 403 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
CertName.MissingParameter                  | 404 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
";

/// Older codes of the service.
pub(super) const SERVICE: &str = "
InvalidCertificate                         | 400 | 2/2/0/0 | 8/1/0/0        | 5s 24h..                       | blocked operator 2
SetDomainSSLPub.ParameterError             | 400 | 2/2/0/0 | 8/1/0/0        | 5s 24h..                       | blocked operator 2
SSLPri.Malformed                           | 400 | 2/2/0/0 | 8/1/0/0        | 5s 24h..                       | blocked operator 2
Certificate.NotPermittedOff                | 400 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
Certificate.SettedNotEffect                | 400 | 2/3/1/0 | 8/2/7/0        | 5s 24h..                       | blocked operator 2
InvalidDomain.NotFound                     | 404 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
InvalidDomainName.Malformed                | 400 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
InvalidPageNumber.ValueNotSupported        | 400 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
InvalidPageSize.ValueNotSupported          | 400 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
IllegalOperation                           | 403 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
ServiceBusy                                | 403 | 2/2/0/0 | 31-35/1/0/0    | ~5s ~30s ~2m ~10m ~1h ~6h..    | pending backoff 4
OperationDenied                            | 403 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
OperationDenied.Suspended                  | 403 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
";

/// The gateway.
pub(super) const GATEWAY: &str = "
Throttling                                 | 503 | 2/2/0/0 | 31-35/1/0/0    | ~5s ~30s ~2m ~10m ~1h ~6h..    | pending backoff 4
Throttling.Api                             | 400 | 2/2/0/0 | 31-35/1/0/0    | ~5s ~30s ~2m ~10m ~1h ~6h..    | pending backoff 4
Throttling.User                            | 400 | 2/2/0/0 | 31-35/1/0/0    | ~5s ~30s ~2m ~10m ~1h ~6h..    | pending backoff 4
Rejected.Throttling                        | 429 | 2/2/0/0 | 31-35/1/0/0    | ~5s ~30s ~2m ~10m ~1h ~6h..    | pending backoff 4
ServiceUnavailable                         | 503 | 2/2/0/0 | 31-35/1/0/0    | ~5s ~30s ~2m ~10m ~1h ~6h..    | pending backoff 4
InternalError                              | 500 | 2/2/0/0 | 31-35/1/0/0    | ~5s ~30s ~2m ~10m ~1h ~6h..    | pending backoff 4
SignatureDoesNotMatch                      | 400 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
InvalidAccessKeySecret                     | 400 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
IncompleteSignature                        | 400 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
InvalidSignatureMethod                     | 400 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
InvalidTimeStamp.Format                    | 400 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
IllegalTimestamp                           | 400 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
InvalidTimeStamp.Expired                   | 400 | 2/2/0/0 | 16/1/0/0       | 5s 24h..                       | blocked operator 2
SignatureNonceUsed                         | 400 | 2/3/1/0 | 31-35/31-35/30-34/0 | 5s ~30s ~2m ~10m ~1h ~6h.. | pending backoff 4
InvalidAccessKeyId.NotFound                | 404 | 2/2/0/0 | 8/1/0/0        | 5s 24h..                       | blocked operator 2
InvalidAccessKeyId.Inactive                | 400 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
InvalidSecurityToken                       | 400 | 2/2/0/0 | 8/1/0/0        | 5s 24h..                       | blocked operator 2
InvalidSecurityToken.Expired               | 400 | 2/2/0/0 | 8/1/0/0        | 5s 24h..                       | blocked operator 2
InvalidSecurityToken.Malformed             | 400 | 2/2/0/0 | 8/1/0/0        | 5s 24h..                       | blocked operator 2
InvalidSecurityToken.MismatchWithAccessKey | 400 | 2/2/0/0 | 8/1/0/0        | 5s 24h..                       | blocked operator 2
MissingSecurityToken                       | 400 | 2/2/0/0 | 8/1/0/0        | 5s 24h..                       | blocked operator 2
Forbidden                                  | 403 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
Forbidden.RAM                              | 403 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
Forbidden.AuthType                         | 403 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
Forbidden.NotSupportRAM                    | 403 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
Forbedden.NotSupportRAM                    | 403 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
NoPermission                               | 403 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
Forbidden.RiskControl                      | 403 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
Forbidden.UserVerification                 | 403 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
MissingParameter                           | 400 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
InvalidParameter                           | 400 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
UnsupportedParameter                       | 400 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
ContentMD5NotMatched                       | 400 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
UnsupportedHTTPMethod                      | 405 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
InvalidAction.NotFound                     | 404 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
InvalidApi.NotFound                        | 404 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
InvalidVersion                             | 400 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
InvalidProduct.NotFound                    | 404 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
InvalidProtocol.NeedSsl                    | 400 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
";

/// Certificate Management Service, where a pair is stored before it is bound. The documentation lists no
/// codes; users report the first. Calls are counted as uploads/read-backs/lists/orders: what was begun is
/// looked for before it is uploaded again.
pub(super) const STORAGE: &str = "
NameRepeat                                 | 400 | 2/3/2/0 | 4/2/14/0       | 5s 5s 5s 24h..                 | blocked operator 4
Forbidden.RAM                              | 403 | 2/2/1/0 | 7/1/6/0        | 24h..                          | blocked operator 1
Throttling.User                            | 400 | 2/2/1/0 | 31-35/1/30-34/0 | ~5s ~30s ~2m ~10m ~1h ~6h..    | pending backoff 4
InternalError                              | 500 | 2/2/1/0 | 31-35/1/30-34/0 | ~5s ~30s ~2m ~10m ~1h ~6h..    | pending backoff 4
New.Code                                   | 400 | 2/2/1/0 | 7/1/6/0        | 24h..                          | blocked operator 1
(no answer)                                | -   | 2/3/1/0 | 31-35/31-35/30-34/0 | 5s ~30s ~2m ~10m ~1h ~6h.. | pending backoff 4
";

/// Alidns, where a proof is published. Calls are counted as additions/searches/lists of zones/orders:
/// the order stays the same one.
pub(super) const ALIDNS: &str = "
DomainRecordDuplicate                      | 400 | 2/1/2/1 | 9-10/9-10/9-10/1 | ~1m ~10m ~1h 24h..             | pending operator 4
DomainRecordConflict                       | 400 | 2/0/2/1 | 7/0/7/1        | 24h..                          | pending operator 1
QuotaExceeded.Record                       | 400 | 2/0/2/1 | 9-10/0/9-10/1  | ~1m ~10m ~1h 24h..             | pending operator 4
DomainRecordNotBelongToUser                | 400 | 2/0/2/1 | 7/0/7/1        | 24h..                          | pending operator 1
InvalidRR.NoExist                          | 400 | 2/0/2/1 | 7/0/7/1        | 24h..                          | pending operator 1
InvalidDomainName.NoExist                  | 400 | 2/0/2/1 | 7/0/7/1        | 24h..                          | pending operator 1
IncorrectDomainUser                        | 400 | 2/0/2/1 | 7/0/7/1        | 24h..                          | pending operator 1
InvalidDomainName.Format                   | 400 | 2/0/2/1 | 7/0/7/1        | 24h..                          | pending operator 1
InvalidDomainName.Suffix                   | 400 | 2/0/2/1 | 7/0/7/1        | 24h..                          | pending operator 1
InvalidDomainName.Unregistered             | 400 | 2/0/2/1 | 7/0/7/1        | 24h..                          | pending operator 1
LastOperationNotFinished                   | 400 | 2/0/2/1 | 11-12/0/11-12/1 | ~1m ~10m ~1h ~6h               | pending backoff 4
DnsSystemBusyness                          | 400 | 2/0/2/1 | 11-12/0/11-12/1 | ~1m ~10m ~1h ~6h               | pending backoff 4
RecordForbidden.DNSChange                  | 400 | 2/0/2/1 | 11-12/0/11-12/1 | ~1m ~10m ~1h ~6h               | pending backoff 4
UnKnownError                               | 400 | 2/0/2/1 | 11-12/0/11-12/1 | ~1m ~10m ~1h ~6h               | pending backoff 4
DomainForbidden                            | 400 | 2/0/2/1 | 7/0/7/1        | 24h..                          | pending operator 1
RecordForbidden.BlackHole                  | 400 | 2/0/2/1 | 7/0/7/1        | 24h..                          | pending operator 1
Forbidden.DomainExpired                    | 400 | 2/0/2/1 | 7/0/7/1        | 24h..                          | pending operator 1
Forbidden.DomainLocked                     | 400 | 2/0/2/1 | 7/0/7/1        | 24h..                          | pending operator 1
Forbidden.RecordLocked                     | 400 | 2/0/2/1 | 7/0/7/1        | 24h..                          | pending operator 1
DomainRecordLocked                         | 400 | 2/0/2/1 | 7/0/7/1        | 24h..                          | pending operator 1
Forbidden                                  | 403 | 2/0/2/1 | 7/0/7/1        | 24h..                          | pending operator 1
Forbidden.AuthType                         | 403 | 2/0/2/1 | 7/0/7/1        | 24h..                          | pending operator 1
Forbidden.RAM                              | 403 | 2/0/2/1 | 7/0/7/1        | 24h..                          | pending operator 1
Forbidden.RiskControl                      | 403 | 2/0/2/1 | 7/0/7/1        | 24h..                          | pending operator 1
InternalError                              | 400 | 2/0/2/1 | 11-12/0/11-12/1 | ~1m ~10m ~1h ~6h               | pending backoff 4
InternalError                              | 500 | 2/0/2/1 | 11-12/0/11-12/1 | ~1m ~10m ~1h ~6h               | pending backoff 4
Throttling                                 | 503 | 2/0/2/1 | 11-12/0/11-12/1 | ~1m ~10m ~1h ~6h               | pending backoff 4
Throttling.User                            | 400 | 2/0/2/1 | 11-12/0/11-12/1 | ~1m ~10m ~1h ~6h               | pending backoff 4
";

/// Codes that nobody has told us of, and answers without a code.
pub(super) const UNKNOWN: &str = "
New.Code                                   | 200 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
New.Code                                   | 400 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
New.Code                                   | 403 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
New.Code                                   | 500 | 2/2/0/0 | 31-35/1/0/0    | ~5s ~30s ~2m ~10m ~1h ~6h..    | pending backoff 4
Throttling.New                             | 400 | 2/2/0/0 | 31-35/1/0/0    | ~5s ~30s ~2m ~10m ~1h ~6h..    | pending backoff 4
(a page)                                   | 404 | 2/2/0/0 | 7/1/0/0        | 24h..                          | blocked operator 1
(a page)                                   | 408 | 2/2/0/0 | 31-35/1/0/0    | ~5s ~30s ~2m ~10m ~1h ~6h..    | pending backoff 4
(a page)                                   | 429 | 2/2/0/0 | 31-35/1/0/0    | ~5s ~30s ~2m ~10m ~1h ~6h..    | pending backoff 4
(a page)                                   | 500 | 2/2/0/0 | 31-35/1/0/0    | ~5s ~30s ~2m ~10m ~1h ~6h..    | pending backoff 4
(a page)                                   | 503 | 2/2/0/0 | 31-35/1/0/0    | ~5s ~30s ~2m ~10m ~1h ~6h..    | pending backoff 4
(a page)                                   | 200 | 2/3/1/0 | 31-35/31-35/30-34/0 | 5s ~30s ~2m ~10m ~1h ~6h.. | pending backoff 4
(a page)                                   | 502 | 2/3/1/0 | 31-35/31-35/30-34/0 | 5s ~30s ~2m ~10m ~1h ~6h.. | pending backoff 4
(a page)                                   | 504 | 2/3/1/0 | 31-35/31-35/30-34/0 | 5s ~30s ~2m ~10m ~1h ~6h.. | pending backoff 4
(no answer)                                | -   | 2/3/1/0 | 31-35/31-35/30-34/0 | 5s ~30s ~2m ~10m ~1h ~6h.. | pending backoff 4
(no answer, but performed)                 | -   | 1/2/0/0 | 1/2/0/0        | 5s 24h..                       | seen - -
";

/// One row.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// The code, or in brackets what came instead.
    pub(super) answer: &'static str,
    /// The HTTP status; nothing where none came.
    pub(super) status: Option<u16>,
    /// The calls if it is answered once.
    pub(super) once: Calls,
    /// The calls of a week of it.
    pub(super) ever: Calls,
    /// The pauses of that week.
    pub(super) pauses: &'static str,
    /// The state of the target at the end of that week.
    pub(super) state: &'static str,
    /// What is done about it then; nothing if it is overcome.
    pub(super) class: Option<&'static str>,
    /// From which failure in a row on there is an alert; nothing if there never is.
    pub(super) alert: Option<usize>,
}

/// How often each was called.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    pub(super) installs: RangeInclusive<usize>,
    pub(super) read_backs: RangeInclusive<usize>,
    pub(super) lists: RangeInclusive<usize>,
    pub(super) orders: RangeInclusive<usize>,
}

/// The rows of a table.
pub(super) fn rows(table: &'static str) -> Vec<Row> {
    table.trim().lines().map(Row::read).collect()
}

impl Row {
    fn read(line: &'static str) -> Self {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let [answer, status, once, ever, pauses, end] = columns[..] else {
            panic!("not a row: {line}");
        };
        let end: Vec<&str> = end.split(' ').collect();
        let [state, class, alert] = end[..] else {
            panic!("not an end: {line}");
        };
        Self {
            answer,
            status: status.parse().ok(),
            once: Calls::read(once),
            ever: Calls::read(ever),
            pauses,
            state,
            class: (class != "-").then_some(class),
            alert: alert.parse().ok(),
        }
    }

    /// How one says which row it is.
    pub(super) fn name(&self) -> String {
        match self.status {
            Some(status) => format!("{} {status}", self.answer),
            None => self.answer.to_owned(),
        }
    }

    /// Whether the pause after the `nth` failure (0 is the first) may be so long.
    pub(super) fn allows(&self, nth: usize, pause: Duration) -> bool {
        let words: Vec<&str> = self.pauses.split(' ').collect();
        let last = words.last().and_then(|word| word.strip_suffix(".."));
        // What is not repeated to the end of the week may go on in any way.
        let Some(word) = words.get(nth).copied().or(last) else {
            return last.is_none();
        };
        let word = word.trim_end_matches("..");
        let (spread, word) = match word.strip_prefix('~') {
            Some(word) => (0.1, word),
            None => (0.0, word),
        };
        let expected = length(word).as_secs_f64();
        // Times are stored in milliseconds.
        (pause.as_secs_f64() - expected).abs() <= expected * spread + 0.001
    }
}

impl Calls {
    fn read(text: &str) -> Self {
        let counts: Vec<RangeInclusive<usize>> = text.split('/').map(range).collect();
        let [installs, read_backs, lists, orders] = &counts[..] else {
            panic!("not four counts: {text}");
        };
        Self {
            installs: installs.clone(),
            read_backs: read_backs.clone(),
            lists: lists.clone(),
            orders: orders.clone(),
        }
    }
}

fn range(text: &str) -> RangeInclusive<usize> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    from.parse().unwrap()..=to.parse().unwrap()
}

fn length(text: &str) -> Duration {
    let (number, unit) = text.split_at(text.len() - 1);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => panic!("not a unit: {text}"),
    };
    Duration::from_secs(number.parse::<u64>().unwrap() * seconds)
}
