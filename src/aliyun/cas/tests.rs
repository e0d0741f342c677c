use super::*;
use crate::aliyun::Code;
use crate::aliyun::testing::{Bench, Reply, key_pem};
use crate::retry::{Class, Scope};
use crate::time::Timestamp;

fn certificate() -> UserCertificate {
    UserCertificate {
        name: "vodcertd-video-1".parse().unwrap(),
        chain_pem: "the chain".into(),
        key_pem: Secret::new(key_pem()),
        region: CertRegion::ApSoutheast1,
    }
}

#[tokio::test]
async fn a_certificate_is_stored_under_its_name_and_the_id_is_told() {
    for answer in [
        r#"{"CertId":9446211,"ResourceId":"cas-upload-1","RequestId":"1"}"#,
        r#"{"CertId":"9446211","RequestId":"1"}"#,
    ] {
        let bench = Bench::new(vec![Reply::ok(answer)]);
        let stored = bench.client.upload_user_certificate(certificate()).await;
        let expected = StoredCertificate {
            cert_id: CertId(9_446_211),
            cert_name: certificate().name,
            cert_region: CertRegion::ApSoutheast1,
        };
        assert_eq!(stored.unwrap(), expected);
        let form = bench.forms().remove(0);
        let sent = ["Action", "Version", "Name", "Cert", "Key"].map(|name| form[name].clone());
        let expected = [
            "UploadUserCertificate",
            "2020-04-07",
            "vodcertd-video-1",
            "the chain",
            &key_pem(),
        ];
        assert_eq!(sent, expected);
    }
}

/// Without an id nothing can be bound; it may have been stored all the same.
#[tokio::test]
async fn an_answer_without_an_id_is_none() {
    for answer in [r#"{"RequestId":"1"}"#, r#"{"CertId":0,"RequestId":"1"}"#] {
        let bench = Bench::new(vec![Reply::ok(answer)]);
        let stored = bench.client.upload_user_certificate(certificate()).await;
        let error = stored.unwrap_err();
        assert!(error.may_have_happened());
        assert_eq!(error.failure(Timestamp::EPOCH).class(1), Class::Reconcile);
    }
}

#[tokio::test]
async fn a_name_that_is_taken_is_looked_up_and_then_changed() {
    let bench = Bench::new(vec![Reply::refusal(400, "NameRepeat", "")]);
    let stored = bench.client.upload_user_certificate(certificate()).await;
    let error = stored.unwrap_err();
    assert!(error.code().is_some_and(Code::says_stored));
    let failure = error.failure(Timestamp::EPOCH);
    let walked = [1, 2, 3, 4].map(|count| failure.class(count));
    let (reconcile, rename) = (Class::Reconcile, Class::Rename);
    assert_eq!(walked, [reconcile, rename, rename, Class::Operator]);
    assert_eq!(failure.scope, Scope::Here);
}

#[tokio::test]
async fn a_certificate_is_deleted_by_its_id() {
    let bench = Bench::new(vec![
        Reply::ok(r#"{"RequestId":"request-1"}"#),
        Reply::refusal(404, "NotFound", "no such certificate"),
    ]);
    let stored = StoredCertificate {
        cert_id: CertId(7),
        cert_name: certificate().name,
        cert_region: CertRegion::CnHangzhou,
    };
    let delete = || bench.client.delete_stored_certificate(&stored);
    assert!(delete().await.is_ok());
    assert_eq!(delete().await.unwrap_err().label(), "NotFound");
    let sent = &bench.forms()[0];
    assert_eq!(sent["Action"], "DeleteUserCertificate");
    assert_eq!((&*sent["Version"], &*sent["CertId"]), ("2020-04-07", "7"));
}
