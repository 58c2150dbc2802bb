//! Runs checks one after the other, or concurrently.

/// Runs checks one after the other, or concurrently if the time is real.
macro_rules! checks {
    ($harness:expr, $($check:path),+ $(,)?) => {
        if $harness.in_real_time() {
            tokio::join!($($check($harness)),+);
        } else {
            $($check($harness).await;)+
        }
    };
}
