//! A clock that is wrong: while others say so nothing irreversible is done, and all goes on when it is
//! right again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use vodcertd::clock::Clock;
use vodcertd::config;
use vodcertd::daemon::{self, DaemonError};
use vodcertd::time::Timestamp;

use crate::support::Scene;

const LABEL: &str = "video";
const ONE: &str = "[[certificates]]\nname = \"video\"\nnames = [\"v.example.com\"]\n";

const HOUR: i64 = 60 * 60 * 1000;
const DAY: i64 = 24 * HOUR;

/// As a length of time.
const ONE_DAY: Duration = Duration::from_hours(24);

/// A clock that goes, but is ahead of the right time by some milliseconds, or behind.
struct GoingClock {
    clock: Clock,
    ahead: Arc<AtomicI64>,
    hand: JoinHandle<()>,
}

impl GoingClock {
    fn ahead_by(ahead: i64) -> Self {
        let clock = Clock::simulated(ahead_of_right(ahead));
        let ahead = Arc::new(AtomicI64::new(ahead));
        let (moved, by) = (clock.clone(), Arc::clone(&ahead));
        let hand = tokio::spawn(async move {
            loop {
                moved.set(ahead_of_right(by.load(Ordering::SeqCst)));
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        Self { clock, ahead, hand }
    }

    fn set_ahead_by(&self, ahead: i64) {
        self.ahead.store(ahead, Ordering::SeqCst);
        self.clock.set(ahead_of_right(ahead));
    }
}

fn ahead_of_right(ahead: i64) -> Timestamp {
    Timestamp::from_millis(Clock::System.now().as_millis() + ahead)
}

impl Drop for GoingClock {
    fn drop(&mut self) {
        self.hand.abort();
    }
}

/// A daemon by a clock of its own, with a status page.
struct Daemon {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), DaemonError>>,
    page: SocketAddr,
}

impl Daemon {
    /// Starts it, with the CA's directory at another place if one is given.
    async fn start(scene: &Scene, clock: &GoingClock, directory: Option<&str>) -> Self {
        let probe = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let page = probe.local_addr().unwrap();
        drop(probe);
        let path = scene.write_config();
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replace("listen = \"off\"", &format!("listen = \"{page}\""));
        let usual = scene.pebble.directory_url();
        let text = text.replace(&usual, directory.unwrap_or(&usual));
        std::fs::write(&path, text).unwrap();
        let loaded = config::load(&path);
        let loaded = loaded.unwrap_or_else(|problems| panic!("{}", problems.render(false)));
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            let _ = stopped.await;
        };
        let clock = clock.clock.clone();
        let task = tokio::spawn(daemon::run(loaded.config, clock, shutdown));
        Self { stop, task, page }
    }

    async fn stop(self) {
        let _ = self.stop.send(());
        self.task.await.unwrap().unwrap();
    }

    /// Whether the page says that the clock is wrong.
    async fn alerts(&self) -> bool {
        let Ok(mut connection) = TcpStream::connect(self.page).await else {
            return false;
        };
        let request = format!(
            "GET /api/v1/certificates/{LABEL} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.page
        );
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        answer.contains("clock-wrong")
    }
}

/// Stands before the CA, and hangs up on so many callers before it lets one in.
struct Porter {
    directory: String,
    hang_up: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Porter {
    async fn before(scene: &Scene) -> Self {
        let usual = scene.pebble.directory_url();
        let (_, place) = usual.split_once("https://").unwrap();
        let (ca, path) = place.split_once('/').unwrap();
        let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let directory = format!("https://{}/{path}", door.local_addr().unwrap());
        let hang_up = Arc::new(AtomicUsize::new(0));
        let (left, ca) = (Arc::clone(&hang_up), ca.to_owned());
        let task = tokio::spawn(async move {
            while let Ok((mut caller, _)) = door.accept().await {
                let one_less = |left: usize| left.checked_sub(1);
                let refused = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less);
                if refused.is_ok() {
                    continue;
                }
                let mut inside = TcpStream::connect(&ca).await.unwrap();
                tokio::spawn(async move {
                    let _ = copy_bidirectional(&mut caller, &mut inside).await;
                });
            }
        });
        Self {
            directory,
            hang_up,
            task,
        }
    }
}

impl Drop for Porter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn scene() -> Scene {
    let builder = Scene::builder(&["v.example.com"]).certificates(ONE);
    let builder = builder.pebble(|pebble| pebble.sleep_at_most(1).validity(ONE_DAY * 30));
    let every_second = builder.schedule("tick = \"* * * * * *\"");
    every_second.start().await
}

/// Waits until the certificate was worked on and is left alone for a while, by the daemon's clock.
async fn until_left_alone(scene: &Scene, clock: &GoingClock) {
    let left_alone = async || {
        let stored = scene.stored(LABEL).await;
        // What is saved by a step is due at once, by a clock that may have gone on meanwhile.
        let soonest = clock.clock.now() + Duration::from_mins(1);
        let due_at = stored.map(|stored| stored.due_at);
        due_at.is_some_and(|due_at| soonest < due_at && due_at < soonest + ONE_DAY)
    };
    scene.until("it is left alone", left_alone).await;
}

#[tokio::test]
async fn nothing_is_done_by_a_wrong_clock_until_it_is_set_right() {
    for ahead in [2 * HOUR, -2 * HOUR, 40 * DAY] {
        let scene = scene().await;
        let clock = GoingClock::ahead_by(ahead);
        let daemon = Daemon::start(&scene, &clock, None).await;
        let alerted = async || daemon.alerts().await;
        scene.until("the clock is said to be wrong", alerted).await;
        until_left_alone(&scene, &clock).await;
        assert_eq!(scene.orders_at_ca(), 0, "{ahead} ms ahead");
        assert_eq!(scene.gateway.calls().all().len(), 0, "{ahead} ms ahead");

        clock.set_ahead_by(0);
        scene.until_seen(LABEL, 1).await;
        assert!(!daemon.alerts().await);
        daemon.stop().await;
        assert_eq!((scene.orders_at_ca(), scene.installs()), (1, 1));
    }
}

#[tokio::test]
async fn a_clock_that_stays_wrong_is_not_compared_at_every_tick() {
    let scene = scene().await;
    let asked = || scene.in_ca_log("GET /dir -> calling handler()");
    let before = asked();
    let clock = GoingClock::ahead_by(2 * HOUR);
    let daemon = Daemon::start(&scene, &clock, None).await;
    let alerted = async || daemon.alerts().await;
    scene.until("the clock is said to be wrong", alerted).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    daemon.stop().await;
    assert_eq!(asked() - before, 1);
}

#[tokio::test]
async fn a_good_certificate_is_not_replaced_by_a_clock_that_nobody_has_compared() {
    let scene = scene().await;
    let porter = Porter::before(&scene).await;
    let clock = GoingClock::ahead_by(0);
    let daemon = Daemon::start(&scene, &clock, Some(&porter.directory)).await;
    scene.until_seen(LABEL, 1).await;
    until_left_alone(&scene, &clock).await;
    daemon.stop().await;

    clock.set_ahead_by(40 * DAY);
    porter.hang_up.store(1, Ordering::SeqCst);
    let daemon = Daemon::start(&scene, &clock, Some(&porter.directory)).await;
    until_left_alone(&scene, &clock).await;
    assert_eq!(porter.hang_up.load(Ordering::SeqCst), 0);
    assert!(daemon.alerts().await);
    assert_eq!(scene.orders_at_ca(), 1);

    clock.set_ahead_by(0);
    until_left_alone(&scene, &clock).await;
    let calm = async || !daemon.alerts().await;
    scene.until("the clock is right", calm).await;
    daemon.stop().await;
    assert_eq!((scene.orders_at_ca(), scene.installs()), (1, 1));
}

#[tokio::test]
async fn everything_is_decided_anew_when_the_clock_is_set_back_a_little() {
    let scene = scene().await;
    let clock = GoingClock::ahead_by(HOUR / 2);
    let daemon = Daemon::start(&scene, &clock, None).await;
    scene.until_seen(LABEL, 1).await;
    until_left_alone(&scene, &clock).await;
    let asked_at = async || {
        let issued = scene.record(LABEL).await.unwrap().issued.unwrap();
        issued.renewal_info.map(|info| info.asked_at)
    };
    let before = asked_at().await.unwrap();

    clock.set_ahead_by(0);
    // What was asked in a future that is void now is asked again.
    let anew = async || asked_at().await.is_some_and(|at| at < before);
    scene.until("the CA is asked again", anew).await;
    daemon.stop().await;
    assert_eq!((scene.orders_at_ca(), scene.installs()), (1, 1));
}
