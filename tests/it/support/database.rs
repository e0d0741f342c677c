//! The daemon's database, seen and touched from outside.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, query, query_scalar};

use super::Scene;

/// What the daemon is told about a write that is held.
pub(crate) const HELD: &str = "held by the test";

impl Scene {
    /// Makes the store as the first start does, so that already the first daemon finds what a test
    /// puts there.
    pub(crate) async fn make_store(&self) {
        self.open_store().await.close().await;
    }

    /// Lets every write of this kind fail: `UPDATE ON orders WHEN NEW.url IS NOT NULL`. The daemon
    /// then leaves the certificate alone for a while. Killed meanwhile, it leaves behind exactly what
    /// a process does that is killed just before this write.
    pub(crate) async fn hold(&self, write: &str) {
        let trigger =
            format!("CREATE TRIGGER held BEFORE {write} BEGIN SELECT RAISE(ABORT, '{HELD}'); END");
        self.execute(trigger).await;
    }

    /// Lets the writes happen again that [`Scene::hold`] held.
    pub(crate) async fn let_go(&self) {
        self.execute("DROP TRIGGER held".to_owned()).await;
    }

    /// The number that a query answers.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let mut database = self.connect().await;
        let number = query_scalar(AssertSqlSafe(sql.to_owned()))
            .fetch_one(&mut database)
            .await
            .unwrap();
        database.close().await.unwrap();
        number
    }

    /// Executes a statement, whatever the daemon holds of it.
    pub(crate) async fn execute(&self, sql: String) {
        let mut database = self.connect().await;
        query(AssertSqlSafe(sql))
            .execute(&mut database)
            .await
            .unwrap();
        database.close().await.unwrap();
    }

    /// Every text in the store. Private keys are no text in it.
    pub(crate) async fn texts(&self) -> String {
        let mut database = self.connect().await;
        let columns = "SELECT 'SELECT ' || c.name || ' FROM ' || t.name
                              || ' WHERE typeof(' || c.name || ') = ''text'''
                       FROM sqlite_master AS t, pragma_table_info(t.name) AS c
                       WHERE t.type = 'table'";
        let columns: Vec<String> = query_scalar(columns)
            .fetch_all(&mut database)
            .await
            .unwrap();
        let mut texts = Vec::new();
        for column in columns {
            let of_column: Vec<String> = query_scalar(AssertSqlSafe(column))
                .fetch_all(&mut database)
                .await
                .unwrap();
            texts.extend(of_column);
        }
        database.close().await.unwrap();
        texts.join("\n")
    }

    /// Copies the store to a file that is not there yet; only while no daemon runs.
    pub(crate) async fn back_up(&self, file: &Path) {
        self.execute(format!("VACUUM INTO '{}'", file.display()))
            .await;
    }

    /// Makes the store what it was when it was copied; only while no daemon runs. The file stays, and
    /// with it what its earlier readers hold of it.
    pub(crate) async fn restore(&self, file: &Path) {
        let options = SqliteConnectOptions::new()
            .filename(self.database())
            .foreign_keys(false);
        let mut database = options.connect().await.unwrap();
        let attach = format!("ATTACH '{}' AS copy", file.display());
        query(AssertSqlSafe(attach))
            .execute(&mut database)
            .await
            .unwrap();
        let tables = "SELECT name FROM copy.sqlite_master
                      WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
        let tables: Vec<String> = query_scalar(tables).fetch_all(&mut database).await.unwrap();
        for table in tables {
            let sql = format!(
                "DELETE FROM main.{table}; INSERT INTO main.{table} SELECT * FROM copy.{table}"
            );
            query(AssertSqlSafe(sql))
                .execute(&mut database)
                .await
                .unwrap();
        }
        database.close().await.unwrap();
    }

    async fn connect(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.database());
        options.connect().await.unwrap()
    }
}
