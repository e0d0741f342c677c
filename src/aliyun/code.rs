//! Every error code that we know, and what it asks of us.
//!
//! The table is data: one line per code with the text as the service writes it, what it is about,
//! and the course, the remedies in the order in which they are used. Where the documentation leaves
//! a choice, the line says why it is as it is. Codes that are not here are judged by HTTP status.
//!
//! Sources: the error list of `SetVodDomainSSLCertificate` (2017-03-21), the gateway's common error
//! codes, the error list of Alidns (2015-01-09), and what users of Certificate Management Service report.
//!
//! # What comes of each
//!
//! The rows below are lived through by the tests of `daemon/codes/`, which write them: a certificate
//! that is installed nowhere meets the answer once, or at every call of a week.
//!
//! | column | tells |
//! |---|---|
//! | stops | what waits: this target or order, everybody's calls of the action, or of the cloud; after five faults in a row, whoever met them, the action is tried by one at a time |
//! | course | the remedies in their order, each with the failures in a row that it is used for |
//! | once, a week | the calls: installs/read-backs/lists/orders; one read-back before the install and one after are usual |
//! | pauses | between the calls of that week; `~` is spread by a tenth, `…` goes on so |
//! | then | the state in `status` after that week, and what is done about it |
//! | alert from | at which failure in a row an alert opens that names the code |
//!
//! Of Certificate Management Service the calls are uploads/read-backs/lists/orders, of Alidns
//! additions/searches/lists of zones/orders. Keys are configured as PKCS#8
//! here; with keys in the form that the service documents there is nothing to encode anew, and
//! `reformat` is left out. Near the end of a certificate's life the pauses are shorter.
#![doc = include_str!("code/table.md")]

use crate::retry::Class;

/// What a code is about: that is what stops, no more and no less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// The certificate, acceleration domain, zone or record at hand.
    Here,
    /// This call, by a fault of the service: many of them in a row are about the action.
    Call,
    /// The action: nothing else of it will do better now.
    Action,
    /// The credentials, the account or its bill, the clock: every call of this cloud.
    Cloud,
    /// A permission. VOD grants an action as a whole, Alidns by zone.
    Permission,
    /// An overload or a fault of the service: the status tells which.
    Status,
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    /// What it is about.
    pub(super) about: About,
    /// The remedies in order, each with the number of failures in a row that it is used for.
    pub(super) course: &'static [(Class, u8)],
}

/// Defines [`Code`] from the table. A remedy without a number is used once.
macro_rules! codes {
    ($(
        $(#[$why:meta])*
        $code:ident $text:literal $about:ident: $($class:ident $($times:literal)?),+;
    )+) => {
        /// An error code of an Alibaba Cloud API.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(
                #[doc = concat!("`", $text, "`: ", stringify!($($class $($times)?),+), ".")]
                #[doc = ""]
                $(#[$why])*
                $code,
            )+
            /// A code that is not in the table.
            Unknown,
        }

        impl Code {
            /// All codes of the table.
            pub const KNOWN: &'static [Self] = &[$(Self::$code),+];

            /// The code as the service writes it; `unknown` for [`Code::Unknown`].
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$code => $text,)+
                    Self::Unknown => "unknown",
                }
            }

            /// The line of the table; nothing for [`Code::Unknown`].
            pub(super) fn rule(self) -> Option<Rule> {
                match self {
                    $(Self::$code => Some(Rule {
                        about: About::$about,
                        course: &[$((Class::$class, 1 $(* $times)?)),+],
                    }),)+
                    Self::Unknown => None,
                }
            }
        }
    };
}

codes! {
    // --- the list of SetVodDomainSSLCertificate, in its order ---

    InvalidSslProtocol          "InvalidSSLProtocol.ValueNotSupported"  Here: Bug, Operator;
    SslPubMissing               "SSLPub.MissingParameter"               Here: Bug, Operator;
    /// Also the answer to `cas` without an id, which cannot be written with our types.
    SslPriMissing               "SSLPri.MissingParameter"               Here: Bug, Operator;
    /// Our chains parse before they are sent, so a new one would fare no better.
    InvalidSslPub               "InvalidSSLPub"                         Here: Reformat, Operator;
    /// A new key of the same type would fare no better; the type is the admin's choice.
    InvalidSslPri               "InvalidSSLPri"                         Here: Reformat, Operator;
    /// Pairs are checked before they are stored: the same bytes would fail again, and orders would
    /// be spent on somebody's mistake.
    CertificateMissMatch        "Certificate.MissMatch"                 Here: Operator;
    /// A chain has no root that could be left out: a key in another form may be the shorter one.
    CertificateTooLong          "InvalidCertificate.TooLong"            Here: Reformat, Operator;
    CertNameTooLong             "InvalidCertName.TooLong"               Here: Rename 2, Operator;
    /// "Error performing verification" does not say of what.
    AuthenticationFailed        "AuthenticationFailed"                  Here: Refresh, Backoff 3, Operator;
    ParameterError              "SetDomainCertificate.ParameterError"   Here: Bug, Operator;
    /// A fresh upload may not be ready yet; after that a new upload under the next name costs less
    /// than an order.
    CertificateStatusError      "Certificate.StatusError"               Here: Backoff 3, Rename, Operator;
    /// The old certificate was not deleted; the new one may be in place all the same.
    DeleteFailed                "DeleteFailed"                          Here: Backoff 2, Reconcile, Operator;
    /// Deleted, or looked for in the wrong region: the id is looked up anew, then the pair is uploaded
    /// again.
    CertificateNotFound         "Certificate.NotFind"                   Here: Refresh, Rename, Operator;
    /// Maybe by our own earlier call whose answer was lost.
    CertificateDuplicated       "Certificate.Duplicated"                Here: Reconcile, Rename 2, Operator;
    CertificateFormatError      "Certificate.FormatError"               Here: Reformat, Operator;
    CertificateKeyNull          "Certificate.KeyNull"                   Here: Bug, Operator;
    KeyMalformed                "Key.Malformed"                         Here: Reformat, Operator;
    CertStorageFailed           "CertStorage.failed"                    Here: Backoff;
    /// The content is stored already: what is there is bound by its id.
    CertificateContentDuplicated "CertificateContent.Duplicated"        Here: Reconcile, Rename 2, Operator;
    /// Never accepted again, so a new one is ordered every time it is said; the brake bounds the
    /// orders.
    CertificateExpired          "Certificate.Expired"                   Here: Reissue 255, Operator;
    /// "Try again later": it comes online by itself.
    DomainNotOnline             "InvalidDomain.notOnline"               Here: Backoff;
    DecodeError                 "Decode.Error"                          Here: Reformat, Bug, Operator;
    /// A step of the server's, or our text: the message does not tell.
    SslPubError                 "sslPub.Error"                          Here: Backoff 2, Reformat, Operator;
    SslPriError                 "sslPri.Error"                          Here: Backoff 2, Reformat, Operator;
    DomainInSafeMode            "DomainInSafeMode"                      Here: Operator;
    /// "Please try again", but a half-made name may be in the way. Half a day is waited for; then it is
    /// no passing trouble, and each further upload might leave another half-made copy behind.
    CreateCertificateFailed     "CreateCertificateFailed"               Here: Reconcile, Rename 2, Backoff 4, Operator;
    CertRegionNotSupported      "Abs.CertRegion.ValueNotSupported"      Here: Operator;
    CertNameExists              "CertNameAlreadyExists"                 Here: Reconcile, Rename 2, Operator;
    /// Stopped by its owner or by the provider: it does not come back by itself.
    DomainOffline               "InvalidDomain.Offline"                 Here: Operator;
    DomainOwnerVerifyFailed     "DomainOwnerVerifyFail"                 Here: Operator;
    DomainInProtectedMode       "DomainInProtectedMode"                 Here: Operator;
    CertNameMissing             "CertName.MissingParameter"             Here: Bug, Operator;

    // --- older codes of the same service ---

    InvalidCertificate          "InvalidCertificate"                    Here: Reformat, Operator;
    SslPubParameterError        "SetDomainSSLPub.ParameterError"        Here: Reformat, Operator;
    SslPriMalformed             "SSLPri.Malformed"                      Here: Reformat, Operator;
    CertificateNotPermittedOff  "Certificate.NotPermittedOff"           Here: Operator;
    /// "Set successfully but does not take effect": what is there is looked at first.
    CertificateNotEffective     "Certificate.SettedNotEffect"           Here: Reconcile, Operator;
    DomainNotFound              "InvalidDomain.NotFound"                Here: Operator;
    DomainNameMalformed         "InvalidDomainName.Malformed"           Here: Operator;
    PageNumberNotSupported      "InvalidPageNumber.ValueNotSupported"   Here: Bug, Operator;
    PageSizeNotSupported        "InvalidPageSize.ValueNotSupported"     Here: Bug, Operator;
    IllegalOperation            "IllegalOperation"                      Here: Operator;
    /// The domain is being configured.
    ServiceBusy                 "ServiceBusy"                           Here: Backoff;
    /// VOD is not switched on.
    OperationDenied             "OperationDenied"                       Cloud: Operator;
    /// A bill is overdue.
    OperationDeniedSuspended    "OperationDenied.Suspended"             Cloud: Operator;

    // --- the gateway ---

    /// Also every `Throttling.…` that is not named here.
    Throttling                  "Throttling"                            Action: Backoff;
    ThrottlingApi               "Throttling.Api"                        Action: Backoff;
    ThrottlingUser              "Throttling.User"                       Action: Backoff;
    RejectedThrottling          "Rejected.Throttling"                   Action: Backoff;
    ServiceUnavailable          "ServiceUnavailable"                    Action: Backoff;
    InternalError               "InternalError"                         Status: Backoff;
    /// A wrong secret. It is read anew for every call, so a corrected one is found.
    SignatureDoesNotMatch       "SignatureDoesNotMatch"                 Cloud: Operator;
    InvalidAccessKeySecret      "InvalidAccessKeySecret"                Cloud: Operator;
    IncompleteSignature         "IncompleteSignature"                   Cloud: Bug, Operator;
    InvalidSignatureMethod      "InvalidSignatureMethod"                Cloud: Bug, Operator;
    TimestampFormat             "InvalidTimeStamp.Format"               Cloud: Bug, Operator;
    IllegalTimestamp            "IllegalTimestamp"                      Cloud: Bug, Operator;
    /// The client has then signed anew with the other side's time, once; if that did not help,
    /// somebody must set the clock.
    TimestampExpired            "InvalidTimeStamp.Expired"              Cloud: Refresh, Operator;
    /// Every call has a nonce of its own, so the network sent this one twice: the first copy
    /// arrived.
    SignatureNonceUsed          "SignatureNonceUsed"                    Here: Reconcile, Backoff;
    AccessKeyNotFound           "InvalidAccessKeyId.NotFound"           Cloud: Refresh, Operator;
    AccessKeyInactive           "InvalidAccessKeyId.Inactive"           Cloud: Operator;
    /// Also every `InvalidSecurityToken.…` that is not named here.
    InvalidSecurityToken        "InvalidSecurityToken"                  Cloud: Refresh, Operator;
    SecurityTokenExpired        "InvalidSecurityToken.Expired"          Cloud: Refresh, Operator;
    SecurityTokenMalformed      "InvalidSecurityToken.Malformed"        Cloud: Refresh, Operator;
    SecurityTokenMismatch       "InvalidSecurityToken.MismatchWithAccessKey" Cloud: Refresh, Operator;
    SecurityTokenMissing        "MissingSecurityToken"                  Cloud: Refresh, Operator;
    Forbidden                   "Forbidden"                             Permission: Operator;
    ForbiddenRam                "Forbidden.RAM"                         Permission: Operator;
    ForbiddenAuthType           "Forbidden.AuthType"                    Permission: Operator;
    ForbiddenNotSupportRam      "Forbidden.NotSupportRAM"               Permission: Operator;
    /// The older spelling.
    ForbeddenNotSupportRam      "Forbedden.NotSupportRAM"               Permission: Operator;
    NoPermission                "NoPermission"                          Permission: Operator;
    ForbiddenRiskControl        "Forbidden.RiskControl"                 Cloud: Operator;
    ForbiddenUserVerification   "Forbidden.UserVerification"            Cloud: Operator;
    /// Also every `Missing…` that is not named here.
    MissingParameter            "MissingParameter"                      Here: Bug, Operator;
    /// Also every `InvalidParameter…` that is not named here.
    InvalidParameter            "InvalidParameter"                      Here: Bug, Operator;
    UnsupportedParameter        "UnsupportedParameter"                  Here: Bug, Operator;
    ContentMd5NotMatched        "ContentMD5NotMatched"                  Here: Bug, Operator;
    UnsupportedHttpMethod       "UnsupportedHTTPMethod"                 Action: Bug, Operator;
    /// This and the next four: the endpoint is not one that has the action.
    ActionNotFound              "InvalidAction.NotFound"                Action: Operator;
    ApiNotFound                 "InvalidApi.NotFound"                   Action: Operator;
    InvalidVersion              "InvalidVersion"                        Action: Operator;
    ProductNotFound             "InvalidProduct.NotFound"               Action: Operator;
    ProtocolNeedsSsl            "InvalidProtocol.NeedSsl"               Action: Operator;

    // --- Certificate Management Service ---

    /// The name is taken; known from its users, the documentation lists no codes.
    NameRepeat                  "NameRepeat"                            Here: Reconcile, Rename 2, Operator;

    // --- Alidns ---

    /// Seen by the caller only if the record that is said to exist is not listed yet.
    RecordDuplicate             "DomainRecordDuplicate"                 Here: Backoff 3, Operator;
    /// A record of another type is at that name, often a `CNAME` of another service.
    RecordConflict              "DomainRecordConflict"                  Here: Operator;
    /// Parallel orders take their own records away again.
    RecordQuotaExceeded         "QuotaExceeded.Record"                  Here: Backoff 3, Operator;
    RecordNotBelongToUser       "DomainRecordNotBelongToUser"           Here: Operator;
    RrNotFound                  "InvalidRR.NoExist"                     Here: Operator;
    ZoneNotFound                "InvalidDomainName.NoExist"             Here: Operator;
    ZoneOfAnotherUser           "IncorrectDomainUser"                   Here: Operator;
    ZoneNameFormat              "InvalidDomainName.Format"              Here: Operator;
    ZoneNameSuffix              "InvalidDomainName.Suffix"              Here: Operator;
    ZoneUnregistered            "InvalidDomainName.Unregistered"        Here: Operator;
    /// Another change to the same zone is under way.
    LastOperationNotFinished    "LastOperationNotFinished"              Here: Backoff;
    DnsSystemBusy               "DnsSystemBusyness"                     Here: Backoff;
    RecordDnsChange             "RecordForbidden.DNSChange"             Here: Backoff;
    UnknownError                "UnKnownError"                          Status: Backoff;
    ZoneForbidden               "DomainForbidden"                       Here: Operator;
    RecordBlackHole             "RecordForbidden.BlackHole"             Here: Operator;
    ZoneExpired                 "Forbidden.DomainExpired"               Here: Operator;
    ZoneLocked                  "Forbidden.DomainLocked"                Here: Operator;
    RecordForbiddenLocked       "Forbidden.RecordLocked"                Here: Operator;
    RecordLocked                "DomainRecordLocked"                    Here: Operator;
}

/// Beginnings, in lower case, of codes that are treated like one of the table.
const FAMILIES: [(&str, Code); 4] = [
    ("throttling", Code::Throttling),
    ("invalidsecuritytoken.", Code::InvalidSecurityToken),
    ("missing", Code::MissingParameter),
    ("invalidparameter", Code::InvalidParameter),
];

impl Code {
    /// Finds a code of the table, whatever its case (the services do not agree on it).
    pub fn parse(text: &str) -> Self {
        let known = Self::KNOWN
            .iter()
            .find(|code| code.as_str().eq_ignore_ascii_case(text));
        let family = || {
            let lower = text.to_ascii_lowercase();
            FAMILIES
                .iter()
                .find(|(beginning, _)| lower.starts_with(beginning))
                .map(|(_, code)| code)
        };
        known.or_else(family).copied().unwrap_or(Self::Unknown)
    }

    /// Whether the credentials lack a permission.
    pub fn lacks_permission(self) -> bool {
        self.rule()
            .is_some_and(|rule| rule.about == About::Permission)
    }

    /// Whether it says that a certificate is stored already, under that name or with that content.
    pub fn says_stored(self) -> bool {
        [
            Self::CertificateDuplicated,
            Self::CertificateContentDuplicated,
            Self::CertNameExists,
            Self::NameRepeat,
        ]
        .contains(&self)
    }

    /// Whether it says that a certificate is not where it was said to be.
    pub fn says_missing(self) -> bool {
        self == Self::CertificateNotFound
    }

    /// Whether it says that a name is no zone of this account.
    pub fn names_no_zone(self) -> bool {
        [
            Self::ZoneNotFound,
            Self::ZoneOfAnotherUser,
            Self::ZoneNameFormat,
            Self::ZoneNameSuffix,
            Self::ZoneUnregistered,
        ]
        .contains(&self)
    }
}

/// Whether messages under this code are dropped whole: the gateway echoes there the text that it
/// signed, and with it every parameter.
pub(super) fn echoes_the_request(code: &str) -> bool {
    let code = code.to_ascii_lowercase();
    code.contains("signature") || code == "invalidaccesskeysecret"
}

#[cfg(test)]
mod tests;
