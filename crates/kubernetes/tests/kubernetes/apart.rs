//! A cluster without nodes for tests that take away what a whole cluster serves: while an API server or a conversion does not answer, no
//! namespace of that cluster is deleted, and nobody knows all of its kinds.

use std::sync::OnceLock;

use stratos_test_platforms::Cluster;
use tokio::sync::{Mutex, MutexGuard};

/// That cluster, for one test at a time.
pub struct Apart {
    pub cluster: &'static Cluster,
    _turn: MutexGuard<'static, ()>,
}

impl Apart {
    /// The cluster starts for the first test, and ends with the process.
    pub async fn get() -> Self {
        static TURN: Mutex<()> = Mutex::const_new(());
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        let turn = TURN.lock().await;
        let cluster = tokio::task::spawn_blocking(|| CLUSTER.get_or_init(Cluster::start_api_only)).await.unwrap();
        Self { cluster, _turn: turn }
    }
}
