//! The daemon as a process: signals, the lock, the service manager, a disk that refuses writes.

use std::pin::pin;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::UnixDatagram;
use tokio::process::Command;
use tokio::time::{Instant, timeout};
use vodcertd_sandbox::gateway::{Disturbance, Fault};

use crate::support::{PATIENCE, Process, SET, Scene};

const LABEL: &str = "video";
const DOMAIN: &str = "v.example.com";
const ONE: &str = "[[certificates]]\nname = \"video\"\nnames = [\"v.example.com\"]\n";

/// Longer than any test runs.
const NEVER: Duration = Duration::from_hours(1);

async fn scene() -> Scene {
    let builder = Scene::builder(&[DOMAIN]).certificates(ONE);
    let builder = builder.pebble(|pebble| pebble.sleep_at_most(1));
    let scene = builder.start().await;
    scene.make_store().await;
    scene
}

// === Signals ===

#[tokio::test]
async fn an_order_that_waits_is_parked_by_a_signal_and_taken_up_by_the_next_start() {
    for signal in ["TERM", "INT"] {
        let scene = scene().await;
        scene.dns.set_delay(NEVER);
        let daemon = scene.spawn();
        scene
            .until("the proof is published", async || {
                !scene.world.records("example.com").is_empty()
            })
            .await;
        daemon.signal(signal).await;
        assert!(daemon.end().await.success(), "SIG{signal}");
        let url = "SELECT COUNT(*) FROM orders WHERE closed_at IS NULL AND url IS NOT NULL";
        assert_eq!(scene.number(url).await, 1, "SIG{signal}");
        let record = scene.record(LABEL).await.unwrap();
        assert_eq!(record.orders.trouble, None, "SIG{signal} is no failure");

        scene.dns.set_delay(Duration::ZERO);
        let daemon = scene.spawn();
        scene.until_seen(LABEL, 1).await;
        assert!(daemon.terminate().await);
        assert_eq!(scene.orders_at_ca(), 1, "SIG{signal}");
    }
}

#[tokio::test]
async fn an_idle_daemon_ends_at_once() {
    let scene = scene().await;
    let mut daemon = scene.spawn();
    scene.until_seen(LABEL, 1).await;
    daemon.until_said(&scene, "renewal-info").await;
    let told = Instant::now();
    assert!(daemon.terminate().await);
    assert!(told.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_hangup_does_not_end_the_daemon() {
    let scene = scene().await;
    let mut daemon = scene.spawn();
    daemon.until_said(&scene, "ready").await;
    daemon.signal("HUP").await;
    scene.until_seen(LABEL, 1).await;
    assert!(daemon.terminate().await);
}

#[tokio::test]
async fn an_install_under_way_is_brought_to_its_end_and_recorded() {
    let scene = scene().await;
    let faults = scene.gateway.faults();
    let late = Disturbance::PerformThenDelay(Duration::from_secs(2));
    faults.push(Fault::once(late).on(SET));
    let daemon = scene.spawn();
    scene
        .until("the install is sent", async || faults.waiting() == 0)
        .await;
    assert!(daemon.terminate().await);
    let record = scene.record(LABEL).await.unwrap();
    let installed = record.targets.values().next().unwrap().installed.as_ref();
    assert_eq!(installed.map(|installed| installed.generation), Some(1));
    assert_eq!(scene.count(LABEL, "seen").await, 0, "new work was begun");
}

#[tokio::test]
async fn an_install_that_does_not_end_is_cut_off_and_repeated_by_the_next_start() {
    let scene = scene().await;
    let faults = scene.gateway.faults();
    faults.push(Fault::once(Disturbance::Delay(NEVER)).on(SET));
    let daemon = scene.spawn();
    scene
        .until("the install is sent", async || faults.waiting() == 0)
        .await;
    assert!(daemon.terminate().await);

    let daemon = scene.spawn();
    scene.until_seen(LABEL, 1).await;
    assert!(daemon.terminate().await);
    assert_eq!(scene.installs(), 1);
    assert_eq!(scene.orders_at_ca(), 1);
}

// === The lock ===

#[tokio::test]
async fn a_second_daemon_on_the_same_store_is_refused_and_the_first_goes_on() {
    let scene = scene().await;
    scene.dns.set_delay(NEVER);
    let mut first = scene.spawn();
    first.until_said(&scene, "ready").await;

    let mut second = scene.spawn();
    second.until_said(&scene, "already running").await;
    let try_later = 75;
    assert_eq!(second.end().await.code(), Some(try_later));

    scene.dns.set_delay(Duration::ZERO);
    scene.until_seen(LABEL, 1).await;
    assert!(first.terminate().await);
    assert_eq!(scene.orders_at_ca(), 1);
}

#[tokio::test]
async fn the_lock_of_a_killed_daemon_is_free() {
    let scene = scene().await;
    let mut first = scene.spawn();
    first.until_said(&scene, "ready").await;
    first.kill().await;
    let mut second = scene.spawn();
    second.until_said(&scene, "ready").await;
    assert!(second.terminate().await);
}

// === The service manager ===

/// A service manager that is told things.
struct ServiceManager {
    socket: UnixDatagram,
    home: TempDir,
    told: String,
}

impl ServiceManager {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(home.path().join("notify")).unwrap();
        Self {
            socket,
            home,
            told: String::new(),
        }
    }

    /// Starts a daemon as a service that is to give a sign of life within this time.
    fn start(&self, scene: &Scene, watchdog: Duration) -> Process {
        let socket = self.home.path().join("notify");
        let socket = format!("NOTIFY_SOCKET={}", socket.display());
        let watchdog = format!("WATCHDOG_USEC={}", watchdog.as_micros());
        scene.spawn_by(&["env", &socket, &watchdog])
    }

    /// Waits until it was told these words since the last time.
    async fn until_told(&mut self, words: &str) {
        while !self.told.contains(words) {
            let mut message = [0; 4096];
            let received = timeout(PATIENCE, self.socket.recv(&mut message)).await;
            let length = received.expect(words).unwrap();
            self.told += &String::from_utf8_lossy(&message[..length]);
            self.told += "\n";
        }
        let end = self.told.find(words).unwrap() + words.len();
        self.told.drain(..end);
    }

    /// Listens to whatever it is told until something else is over: a manager that does not listen
    /// makes the daemon wait.
    async fn listen_during(&mut self, other: impl Future<Output = ()>) {
        let mut other = pin!(other);
        let mut message = [0; 4096];
        loop {
            tokio::select! {
                () = &mut other => return,
                received = self.socket.recv(&mut message) => assert!(received.is_ok()),
            }
        }
    }
}

#[tokio::test]
async fn the_service_manager_is_told_of_start_life_and_end() {
    let scene = scene().await;
    let mut manager = ServiceManager::new();
    let daemon = manager.start(&scene, Duration::from_secs(2));
    manager.until_told("READY=1").await;
    scene.until_seen(LABEL, 1).await;
    manager.until_told("STATUS=next step at ").await;
    for _ in 0..3 {
        let sign_of_life = manager.until_told("WATCHDOG=1");
        timeout(Duration::from_secs(2), sign_of_life).await.unwrap();
    }
    daemon.signal("TERM").await;
    manager.until_told("STOPPING=1").await;
    assert!(daemon.end().await.success());
}

#[tokio::test]
async fn a_daemon_that_cannot_start_never_says_that_it_is_ready() {
    let scene = scene().await;
    let store = scene.open_store().await;
    let mut manager = ServiceManager::new();
    let daemon = manager.start(&scene, Duration::from_secs(2));
    assert!(!daemon.end().await.success());
    let nothing = timeout(Duration::from_millis(200), manager.until_told("READY=1"));
    nothing.await.unwrap_err();
    store.close().await;
}

// === A disk that refuses writes ===

/// Starts a daemon on a disk that takes all writes until [`refuse_writes`]. A full disk sends no
/// signal, unlike the limit that plays it here.
fn spawn_on_limited_disk(scene: &Scene) -> Process {
    scene.spawn_by(&["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
}

/// Refuses every write that the database needs.
async fn refuse_writes(daemon: &Process) {
    limit_files(daemon, "512").await;
}

async fn take_writes(daemon: &Process) {
    limit_files(daemon, "unlimited").await;
}

/// Refuses to write beyond so many bytes of any file.
async fn limit_files(daemon: &Process, limit: &str) {
    let status = Command::new("prlimit")
        .args(["--pid", &daemon.id().to_string()])
        .arg(format!("--fsize={limit}:unlimited"))
        .status()
        .await
        .unwrap();
    assert!(status.success());
}

const REFUSED: &str = "could not be read or written";

#[tokio::test]
async fn nothing_is_ordered_on_a_disk_that_refuses_writes_until_it_takes_them_again() {
    let builder = Scene::builder(&[DOMAIN]).certificates(ONE);
    let every_second = builder.schedule("tick = \"* * * * * *\"");
    let scene = every_second.start().await;
    let mut daemon = spawn_on_limited_disk(&scene);
    scene.until_seen(LABEL, 1).await;
    scene.until_at_rest(LABEL).await;
    refuse_writes(&daemon).await;
    scene.execute(LET_IT_BE_REVOKED.to_owned()).await;

    daemon.until_said(&scene, REFUSED).await;
    assert_eq!(scene.orders_at_ca(), 1);

    take_writes(&daemon).await;
    scene.until_seen(LABEL, 2).await;
    assert!(daemon.terminate().await);
    assert_eq!(scene.orders_at_ca(), 2);
}

/// A reason to order at once.
const LET_IT_BE_REVOKED: &str = "UPDATE certificates
    SET due_at = 0, record = json_set(record, '$.issued.revoked', json('true'))";

#[tokio::test]
async fn an_order_goes_on_soon_after_a_disk_takes_writes_again() {
    let scene = scene().await;
    let faults = scene.gateway.faults();
    let late = Disturbance::PerformThenDelay(Duration::from_secs(1));
    faults.push(Fault::once(late).on("AddDomainRecord"));
    let mut daemon = spawn_on_limited_disk(&scene);
    scene
        .until("the proof is sent", async || faults.waiting() == 0)
        .await;
    refuse_writes(&daemon).await;
    daemon.until_said(&scene, REFUSED).await;

    take_writes(&daemon).await;
    let healed = Instant::now();
    scene.until_seen(LABEL, 1).await;
    assert!(healed.elapsed() < Duration::from_secs(30));
    scene.until_at_rest(LABEL).await;
    assert!(daemon.terminate().await);
    assert_eq!(scene.orders_at_ca(), 1);
    assert_eq!(scene.proofs(), 0);
}

#[tokio::test]
async fn a_daemon_does_not_start_on_a_disk_that_refuses_writes() {
    let scene = scene().await;
    let mut daemon = scene.spawn_by(&["sh", "-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\""]);
    daemon.until_said(&scene, REFUSED).await;
    let try_later = 75;
    assert_eq!(daemon.end().await.code(), Some(try_later));
    assert_eq!(scene.orders_at_ca(), 0);
}

/// The log and the page tell of the disk as long as the daemon lives; a restart would not mend it.
#[tokio::test]
async fn a_disk_that_refuses_writes_does_not_make_the_service_manager_end_the_daemon() {
    let builder = Scene::builder(&[DOMAIN]).certificates(ONE);
    let every_second = builder.schedule("tick = \"* * * * * *\"");
    let scene = every_second.start().await;
    let mut manager = ServiceManager::new();
    let socket = manager.home.path().join("notify");
    let script = format!(
        "trap '' XFSZ; NOTIFY_SOCKET='{}' WATCHDOG_USEC=2000000 exec \"$0\" \"$@\"",
        socket.display()
    );
    let mut daemon = scene.spawn_by(&["sh", "-c", &script]);
    let at_rest = async {
        scene.until_seen(LABEL, 1).await;
        scene.until_at_rest(LABEL).await;
        refuse_writes(&daemon).await;
        scene.execute(LET_IT_BE_REVOKED.to_owned()).await;
    };
    manager.listen_during(at_rest).await;
    manager
        .listen_during(daemon.until_said(&scene, REFUSED))
        .await;
    for _ in 0..4 {
        let sign_of_life = manager.until_told("WATCHDOG=1");
        timeout(Duration::from_secs(2), sign_of_life).await.unwrap();
        manager.told.clear();
    }
    take_writes(&daemon).await;
    manager.listen_during(scene.until_seen(LABEL, 2)).await;
    let ended = async { assert!(daemon.terminate().await) };
    manager.listen_during(ended).await;
}
