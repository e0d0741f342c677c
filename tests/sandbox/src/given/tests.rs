use serde_json::Value;

use super::*;

/// What is asked: a method, a path and headers.
type Question<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

const TTL: (&str, &str) = ("x-aliyun-ecs-metadata-token-ttl-seconds", "60");
const WITH_TOKEN: (&str, &str) = ("x-aliyun-ecs-metadata-token", TOKEN);
const WITH_ANOTHER: (&str, &str) = ("x-aliyun-ecs-metadata-token", "another");
const OF_ROLE: &str = "/latest/meta-data/ram/security-credentials/machine";

async fn started() -> GivingServer {
    let key = GivenKey {
        id: "STS.id".to_owned(),
        secret: "secret".to_owned(),
        token: "token".to_owned(),
        expires: "2026-11-24T12:00:00Z".parse().unwrap(),
    };
    GivingServer::start("machine", key).await.unwrap()
}

/// The status and the text.
async fn ask(server: &GivingServer, (method, path, headers): Question<'_>) -> (u16, String) {
    let url = format!("{}{path}", server.url());
    let request = reqwest::Client::new().request(method.parse().unwrap(), url);
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn each_version_of_the_metadata_service_asks_for_its_own() {
    let server = started().await;
    let token = "/latest/api/token";
    for (mode, question, status) in [
        (Mode::TokenOnly, ("PUT", token, &[TTL][..]), 200),
        (Mode::TokenOnly, ("PUT", token, &[]), 400),
        (Mode::TokenOnly, ("GET", token, &[TTL]), 400),
        (Mode::TokenOnly, ("GET", OF_ROLE, &[WITH_TOKEN]), 200),
        (Mode::TokenOnly, ("GET", OF_ROLE, &[]), 401),
        (Mode::TokenOnly, ("GET", OF_ROLE, &[WITH_ANOTHER]), 401),
        (Mode::Either, ("GET", OF_ROLE, &[]), 200),
        (Mode::Either, ("GET", OF_ROLE, &[WITH_ANOTHER]), 401),
        (Mode::NoToken, ("PUT", token, &[TTL]), 404),
        (Mode::NoToken, ("GET", OF_ROLE, &[]), 200),
        (
            Mode::Either,
            ("GET", "/latest/meta-data/ram/security-credentials/x", &[]),
            404,
        ),
        (Mode::Either, ("GET", "/elsewhere", &[]), 404),
    ] {
        server.set_mode(mode);
        let (answered, _) = ask(&server, question).await;
        assert_eq!(answered, status, "{mode:?} {question:?}");
    }
}

#[tokio::test]
async fn what_is_given_is_told_and_who_asked_is_kept() {
    let server = started().await;
    let (_, roles) = ask(&server, ("GET", ROLES, &[])).await;
    assert_eq!(roles.trim(), "machine");
    let (_, of_role) = ask(&server, ("GET", OF_ROLE, &[])).await;
    let (_, of_uri) = ask(&server, ("GET", "/credentials", &[])).await;
    assert_eq!(of_role, of_uri);
    let given: Value = serde_json::from_str(&of_role).unwrap();
    assert_eq!(given["AccessKeyId"], "STS.id");
    assert_eq!(given["Expiration"], "2026-11-24T12:00:00Z");
    server.set_trouble(Some(Trouble::Status(503)));
    assert_eq!(ask(&server, ("GET", ROLES, &[])).await.0, 503);
    server.set_trouble(Some(Trouble::Body("odd".to_owned())));
    let odd = ask(&server, ("GET", ROLES, &[])).await;
    assert_eq!(odd, (200, "odd".to_owned()));
    assert_eq!(server.asked().len(), 5);
    assert_eq!(server.asked()[2], "GET /credentials");
}
