//! How far the clock of the API server is from ours.

use kube::client::Body;
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

use crate::cluster::{Cluster, Error, request};

/// Seconds by which the server is ahead of us; `None` when it does not tell the
/// time. The header has whole seconds, which is fine for what depends on it.
pub(crate) async fn read(cluster: &Cluster) -> Result<Option<i64>, Error> {
    let Ok(ask) = http::Request::get("/version").body(Body::empty()) else {
        return Ok(None);
    };
    let before = OffsetDateTime::now_utc();
    let answer = cluster
        .client
        .send(ask)
        .await
        .map_err(|error| request("read the clock of", &cluster.server)(error))?;
    let after = OffsetDateTime::now_utc();
    let date = answer.headers().get(http::header::DATE);
    let date = date.and_then(|date| date.to_str().ok());
    Ok(date.and_then(|date| skew(date, before, after)))
}

/// Pure part: the header against the middle of the request.
fn skew(date: &str, before: OffsetDateTime, after: OffsetDateTime) -> Option<i64> {
    // RFC 9110 section 5.6.7: the form of RFC 2822, always in GMT.
    let server = OffsetDateTime::parse(date, &Rfc2822).ok()?;
    let half: time::Duration = (after - before) / 2;
    let difference: time::Duration = server - (before + half);
    Some(difference.whole_seconds())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn the_difference_is_that_to_the_middle_of_the_request() {
        let (before, after) = (
            datetime!(2026-11-24 10:00:00 UTC),
            datetime!(2026-11-24 10:00:20 UTC),
        );
        assert_eq!(skew("Tue, 24 Nov 2026 10:05:10 GMT", before, after), Some(300));
        assert_eq!(skew("Tue, 24 Nov 2026 09:59:10 GMT", before, after), Some(-60));
        assert_eq!(skew("yesterday", before, after), None);
    }
}
