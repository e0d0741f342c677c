//! Pebble, the ACME server of Let's Encrypt for tests, as a child process on loopback ports.
//!
//! Nonce rejection (5 %) and random sleeps before a validation are Pebble's own defaults and stay
//! on unless a test says otherwise. Everything Pebble knows is in its memory: a restart forgets
//! accounts, orders and issuing keys. Does not install Pebble (`tests/setup.sh` does) and is no
//! ACME client.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// Longest time from the start of the process to its first answer.
const START_DEADLINE: Duration = Duration::from_secs(20);
/// Pause between two looks whether it answers.
const START_POLL: Duration = Duration::from_millis(50);
/// Longest time that one such look may take: a foreign process on the port may never answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(1);
/// Starts on other ports, when another process took the free ones meanwhile.
const PORT_ATTEMPTS: usize = 5;
/// Pebble refuses a request without one.
const USER_AGENT: &str = concat!("vodcertd-sandbox/", env!("CARGO_PKG_VERSION"));

/// A running Pebble. Its process is killed when this value is dropped.
#[derive(Debug)]
pub struct Pebble {
    builder: Builder,
    program: PathBuf,
    home: TempDir,
    ports: Ports,
    ca_pem: String,
    client: reqwest::Client,
    child: Child,
}

/// How the next [`Pebble`] shall behave.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    dns_server: Option<SocketAddr>,
    validity: Option<Duration>,
    profiles: BTreeMap<String, Duration>,
    external_accounts: BTreeMap<String, String>,
    blocked_names: Vec<String>,
    retry_after: Option<RetryAfter>,
    variables: BTreeMap<&'static str, String>,
}

#[derive(Debug, Clone, Copy)]
struct RetryAfter {
    authorization: Duration,
    order: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    acme: u16,
    management: u16,
}

impl Pebble {
    /// A Pebble with its own defaults: certificates of 90 days, one root, one intermediate.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The address of the ACME directory.
    pub fn directory_url(&self) -> String {
        format!("https://127.0.0.1:{}/dir", self.ports.acme)
    }

    /// The address of the management interface, without a trailing slash.
    pub fn management_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports.management)
    }

    /// The root that clients must trust to speak HTTPS with this server (it issues nothing else).
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// A file that holds [`Pebble::ca_pem`]; it goes when this value is dropped.
    pub fn ca_file(&self) -> PathBuf {
        ca_file(self.home.path())
    }

    /// What Pebble wrote to its output, over all restarts.
    pub fn log(&self) -> Result<String> {
        fs::read_to_string(log_file(self.home.path())).context("cannot read Pebble's log")
    }

    /// The root above the certificates that are issued; another one after each start.
    pub async fn issuer_root_pem(&self) -> Result<String> {
        let url = format!("{}/roots/0", self.management_url());
        let answer = self.client.get(&url).send().await?.error_for_status()?;
        Ok(answer.text().await?)
    }

    /// Sets what Pebble answers from now on to a renewal information request (RFC 9773) for the
    /// certificate `leaf_pem`. Pebble passes `info` on as it is, malformed or not.
    pub async fn set_renewal_info(&self, leaf_pem: &str, info: &Value) -> Result<()> {
        let url = format!("{}/set-renewal-info/", self.management_url());
        let body = json!({ "Certificate": leaf_pem, "ARIResponse": info.to_string() });
        let answer = self.client.post(&url).json(&body).send().await?;
        answer.error_for_status()?;
        Ok(())
    }

    /// Kills the process and starts it again at the same addresses, with an empty memory.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.child = spawn(&self.program, &self.builder, self.home.path())?;
        let started = wait_until_ready(&mut self.child, &self.client, self.ports).await?;
        started.or_fail(self.home.path())
    }

    /// Kills the process and leaves it so: its addresses refuse connections until
    /// [`Pebble::restart`].
    pub async fn stop(&mut self) -> Result<()> {
        self.child.kill().await.context("cannot end Pebble")
    }
}

impl Builder {
    /// Validates names through this DNS server (asked by TCP) instead of the system's.
    #[must_use]
    pub fn dns_server(mut self, address: SocketAddr) -> Self {
        self.dns_server = Some(address);
        self
    }

    /// Issues certificates that live this long (whole seconds).
    #[must_use]
    pub fn validity(mut self, validity: Duration) -> Self {
        self.validity = Some(validity);
        self
    }

    /// Offers this profile, too. An order that names none is given one of those offered by chance.
    #[must_use]
    pub fn profile(mut self, name: &str, validity: Duration) -> Self {
        self.profiles.insert(name.to_owned(), validity);
        self
    }

    /// Demands an external account binding and knows this key (base64url) under this identifier.
    #[must_use]
    pub fn external_account(mut self, key_id: &str, hmac_key: &str) -> Self {
        self.external_accounts
            .insert(key_id.to_owned(), hmac_key.to_owned());
        self
    }

    /// Refuses to issue for this name and those below it.
    #[must_use]
    pub fn blocked_name(mut self, name: &str) -> Self {
        self.blocked_names.push(name.to_owned());
        self
    }

    /// Asks clients to wait this long (whole seconds) between two polls.
    #[must_use]
    pub fn retry_after(mut self, authorization: Duration, order: Duration) -> Self {
        self.retry_after = Some(RetryAfter {
            authorization,
            order,
        });
        self
    }

    /// Refuses this share of good nonces, in percent.
    #[must_use]
    pub fn nonce_reject(self, percent: u8) -> Self {
        self.variable("PEBBLE_WFE_NONCEREJECT", percent)
    }

    /// Takes a valid authorization of an earlier order for this share of names, in percent.
    #[must_use]
    pub fn authz_reuse(self, percent: u8) -> Self {
        self.variable("PEBBLE_AUTHZREUSE", percent)
    }

    /// Sleeps for at most this many seconds before each validation.
    #[must_use]
    pub fn sleep_at_most(self, seconds: u8) -> Self {
        self.variable("PEBBLE_VA_SLEEPTIME", seconds)
    }

    /// Issues through this many intermediates.
    #[must_use]
    pub fn chain_length(self, intermediates: u8) -> Self {
        self.variable("PEBBLE_CHAIN_LENGTH", intermediates)
    }

    /// Starts Pebble on free loopback ports and returns once it answers at both.
    pub async fn start(self) -> Result<Pebble> {
        let program = find_program()?;
        let home = tempfile::Builder::new().prefix("pebble-").tempdir()?;
        let ca_pem = write_https_identity(home.path())?;
        let client = https_client(&ca_pem)?;

        for _ in 0..PORT_ATTEMPTS {
            let ports = Ports::free()?;
            let config = self.config(ports).to_string();
            fs::write(home.path().join("pebble.json"), config)?;
            let mut child = spawn(&program, &self, home.path())?;
            let started = wait_until_ready(&mut child, &client, ports).await?;
            if started == Start::Exited && port_was_taken(home.path()) {
                continue;
            }
            started.or_fail(home.path())?;
            return Ok(Pebble {
                builder: self,
                program,
                home,
                ports,
                ca_pem,
                client,
                child,
            });
        }
        bail!("other processes took the free ports {PORT_ATTEMPTS} times")
    }

    fn variable(mut self, name: &'static str, value: u8) -> Self {
        self.variables.insert(name, value.to_string());
        self
    }

    fn config(&self, ports: Ports) -> Value {
        let mut pebble = json!({
            "listenAddress": format!("127.0.0.1:{}", ports.acme),
            "managementListenAddress": format!("127.0.0.1:{}", ports.management),
            "certificate": "https.pem",
            "privateKey": "https.key",
            "httpPort": 5002,
            "tlsPort": 5001,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": !self.external_accounts.is_empty(),
            "externalAccountMACKeys": self.external_accounts,
            "domainBlocklist": self.blocked_names,
            "profiles": self.profile_settings(),
        });
        if let Some(retry_after) = self.retry_after {
            pebble["retryAfter"] = json!({
                "authz": retry_after.authorization.as_secs(),
                "order": retry_after.order.as_secs(),
            });
        }
        json!({ "pebble": pebble })
    }

    /// Pebble has a setting for the validity alone, and ignores it: only a profile carries one.
    fn profile_settings(&self) -> Value {
        let mut profiles = self.profiles.clone();
        if let Some(validity) = self.validity {
            profiles.insert("default".to_owned(), validity);
        }
        profiles
            .iter()
            .map(|(name, validity)| {
                let profile = json!({
                    "description": format!("valid for {} s", validity.as_secs()),
                    "validityPeriod": validity.as_secs(),
                });
                (name.clone(), profile)
            })
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

impl Ports {
    /// Two ports that are free now; they may be taken by the time Pebble binds them.
    fn free() -> Result<Self> {
        let acme = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let management = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        Ok(Self {
            acme: acme.local_addr()?.port(),
            management: management.local_addr()?.port(),
        })
    }
}

fn find_program() -> Result<PathBuf> {
    if let Some(named) = env::var_os("PEBBLE") {
        let named = PathBuf::from(named);
        ensure!(named.is_file(), "PEBBLE={}: no such file", named.display());
        return Ok(named);
    }
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/usr/bin/pebble");
    let path = env::var_os("PATH").unwrap_or_default();
    std::iter::once(unpacked)
        .chain(env::split_paths(&path).map(|folder| folder.join("pebble")))
        .find(|candidate| candidate.is_file())
        .context("Pebble is not installed: run `bash tests/setup.sh`")
}

fn spawn(program: &Path, builder: &Builder, home: &Path) -> Result<Child> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(log_file(home))?;
    let mut command = Command::new(program);
    command
        .args(["-strict", "-config", "pebble.json"])
        .current_dir(home)
        .envs(&builder.variables)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true);
    if let Some(address) = builder.dns_server {
        command.args(["-dnsserver", &address.to_string()]);
    }
    command
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))
}

/// How the start of a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Ready,
    Exited,
    Silent,
}

impl Start {
    fn or_fail(self, home: &Path) -> Result<()> {
        let outcome = match self {
            Self::Ready => return Ok(()),
            Self::Exited => "ended at once",
            Self::Silent => "did not answer in time",
        };
        let log = fs::read_to_string(log_file(home)).unwrap_or_default();
        bail!("Pebble {outcome}; it wrote:\n{log}")
    }
}

async fn wait_until_ready(
    child: &mut Child,
    client: &reqwest::Client,
    ports: Ports,
) -> Result<Start> {
    let deadline = Instant::now() + START_DEADLINE;
    while Instant::now() < deadline {
        if child.try_wait()?.is_some() {
            return Ok(Start::Exited);
        }
        if let Some(directory) = first_answers(client, ports).await {
            ensure!(
                directory["renewalInfo"].is_string(),
                "this Pebble is older than 2.10: run `bash tests/setup.sh`"
            );
            return Ok(Start::Ready);
        }
        sleep(START_POLL).await;
    }
    Ok(Start::Silent)
}

/// The directory, once both ports answer with the certificate made for this very process.
async fn first_answers(client: &reqwest::Client, ports: Ports) -> Option<Value> {
    let get = |port, path| {
        let request = client.get(format!("https://127.0.0.1:{port}{path}"));
        request.timeout(ANSWER_DEADLINE).send()
    };
    let root = get(ports.management, "/roots/0").await.ok()?;
    root.error_for_status().ok()?;
    get(ports.acme, "/dir").await.ok()?.json().await.ok()
}

fn port_was_taken(home: &Path) -> bool {
    fs::read_to_string(log_file(home)).is_ok_and(|log| log.contains("address already in use"))
}

fn https_client(ca_pem: &str) -> Result<reqwest::Client> {
    let root = reqwest::Certificate::from_pem(ca_pem.as_bytes())?;
    let client = reqwest::Client::builder()
        .tls_certs_only([root])
        .no_proxy()
        .user_agent(USER_AGENT)
        .timeout(Duration::from_secs(10))
        .build()?;
    Ok(client)
}

/// Makes the root, certificate and key of Pebble's HTTPS side; returns the root.
fn write_https_identity(home: &Path) -> Result<String> {
    let mut root = CertificateParams::default();
    root.distinguished_name
        .push(DnType::CommonName, "Pebble HTTPS root");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let root_key = KeyPair::generate()?;
    let root_pem = root.self_signed(&root_key)?.pem();
    let issuer = Issuer::new(root, root_key);

    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut server = CertificateParams::new(names)?;
    server
        .distinguished_name
        .push(DnType::CommonName, "Pebble HTTPS");
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let server_key = KeyPair::generate()?;
    let server_pem = server.signed_by(&server_key, &issuer)?.pem();

    fs::write(ca_file(home), &root_pem)?;
    fs::write(home.join("https.pem"), server_pem)?;
    fs::write(home.join("https.key"), server_key.serialize_pem())?;
    Ok(root_pem)
}

fn ca_file(home: &Path) -> PathBuf {
    home.join("https-root.pem")
}

fn log_file(home: &Path) -> PathBuf {
    home.join("pebble.log")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn directory(pebble: &Pebble, client: &reqwest::Client) -> Value {
        let answer = client.get(pebble.directory_url()).send().await.unwrap();
        answer.json().await.unwrap()
    }

    #[tokio::test]
    async fn the_directory_answers_to_who_trusts_its_root_and_to_nobody_else() {
        let pebble = Pebble::builder().start().await.unwrap();

        let trusting = https_client(&fs::read_to_string(pebble.ca_file()).unwrap()).unwrap();
        let listed = directory(&pebble, &trusting).await;
        assert!(listed["newOrder"].is_string(), "{listed}");

        let stranger = Pebble::builder().start().await.unwrap();
        let distrusting = https_client(stranger.ca_pem()).unwrap();
        let refused = distrusting.get(pebble.directory_url()).send().await;
        assert!(refused.unwrap_err().is_connect());
    }

    #[tokio::test]
    async fn a_restart_keeps_the_addresses_and_loses_the_memory() {
        let mut pebble = Pebble::builder().start().await.unwrap();
        let (url, root) = (
            pebble.directory_url(),
            pebble.issuer_root_pem().await.unwrap(),
        );

        pebble.restart().await.unwrap();

        assert_eq!(pebble.directory_url(), url);
        assert_ne!(pebble.issuer_root_pem().await.unwrap(), root);
    }

    #[tokio::test]
    async fn a_stopped_server_refuses_connections_and_a_restart_brings_it_back() {
        let mut pebble = Pebble::builder().start().await.unwrap();
        pebble.stop().await.unwrap();
        assert!(pebble.issuer_root_pem().await.is_err());

        pebble.restart().await.unwrap();
        assert!(pebble.issuer_root_pem().await.is_ok());
    }

    #[tokio::test]
    async fn profiles_are_offered_beside_the_default() {
        let pebble = Pebble::builder()
            .validity(Duration::from_mins(10))
            .profile("shortlived", Duration::from_mins(1))
            .start()
            .await
            .unwrap();
        let listed = directory(&pebble, &pebble.client).await;
        assert_eq!(
            listed["meta"]["profiles"],
            json!({ "default": "valid for 600 s", "shortlived": "valid for 60 s" })
        );
    }

    #[tokio::test]
    async fn an_external_account_is_demanded_once_a_key_is_known() {
        let key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
        let pebble = Pebble::builder()
            .external_account("kid-1", key)
            .start()
            .await
            .unwrap();
        let listed = directory(&pebble, &pebble.client).await;
        assert_eq!(listed["meta"]["externalAccountRequired"], json!(true));
    }

    #[tokio::test]
    async fn renewal_info_is_set_for_certificates_it_knows_and_refused_for_others() {
        let pebble = Pebble::builder().start().await.unwrap();
        let foreign = fs::read_to_string(pebble.home.path().join("https.pem")).unwrap();
        let refused = pebble.set_renewal_info(&foreign, &json!({})).await;
        assert!(refused.is_err(), "nothing was issued here");
    }

    #[tokio::test]
    async fn a_port_that_was_taken_meanwhile_is_told_from_other_failures() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let free = Ports::free().unwrap();
        for ports in [
            Ports { acme: port, ..free },
            Ports {
                management: port,
                ..free
            },
        ] {
            let home = tempfile::tempdir().unwrap();
            let client = https_client(&write_https_identity(home.path()).unwrap()).unwrap();
            let builder = Pebble::builder();
            let config = builder.config(ports).to_string();
            fs::write(home.path().join("pebble.json"), config).unwrap();
            let mut child = spawn(&find_program().unwrap(), &builder, home.path()).unwrap();
            let started = wait_until_ready(&mut child, &client, ports).await.unwrap();
            assert_eq!(started, Start::Exited, "{ports:?}");
            assert!(port_was_taken(home.path()), "{ports:?}");
        }
    }

    #[test]
    fn the_last_lines_of_a_failed_start_are_in_its_error() {
        let home = tempfile::tempdir().unwrap();
        fs::write(log_file(home.path()), "no such key").unwrap();
        let failed = Start::Exited.or_fail(home.path()).unwrap_err().to_string();
        assert_eq!(failed, "Pebble ended at once; it wrote:\nno such key");
    }
}
