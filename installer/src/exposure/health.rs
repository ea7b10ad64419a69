//! Whether what answers at an address is the API: certificates may be right while the
//! requests behind them go nowhere.

use futures::{StreamExt, stream};
use http::StatusCode;
use silica_api::names;

use crate::{
    cli::check::Check,
    exposure::{
        address::Route,
        https::{self, Answer},
    },
};

const ID: &str = "health";
/// Path that the API answers without a key.
const PATH: &str = "/health";
/// Requests under way at a time.
const CONCURRENCY: usize = 16;

/// Asks every address from outside for apex and API name of a domain. An address that
/// does not answer at all is told by the check of its certificate.
pub(crate) async fn look(routes: &[Route], domain: &str) -> Vec<Check> {
    let hosts = [domain.to_owned(), format!("api.{domain}")];
    let asked = routes.iter().flat_map(|route| {
        let outside = match route {
            Route::Tcp { host, port } => Some((host.as_str(), *port)),
            Route::Forward { .. } => None,
        };
        let hosts = hosts.iter();
        outside
            .into_iter()
            .flat_map(move |(address, port)| hosts.clone().map(move |host| (route, address, port, host)))
    });
    let answers = stream::iter(asked).map(|(route, address, port, host)| async move {
        let answer = https::get(host, address, port, PATH).await.ok()?;
        Some(judge(route, host, &answer))
    });
    let checks: Vec<Option<Check>> = answers.buffered(CONCURRENCY).collect().await;
    checks.into_iter().flatten().collect()
}

fn judge(route: &Route, host: &str, answer: &Answer) -> Check {
    let title = format!("https://{host}{PATH} answers at {route}");
    let status = answer.status;
    if status.is_success() {
        return Check::pass(ID, title);
    }
    let detail = format!("the answer is {status}");
    Check::fail(ID, title, detail).hint(hint(status))
}

/// Who answers instead of the API, by what ingress controllers answer.
fn hint(status: StatusCode) -> String {
    let namespace = names::NAMESPACE;
    match status {
        StatusCode::NOT_FOUND => format!(
            "the proxy that answers has no rule for this host: kubectl describe ingress,httproute -n {namespace}; \
             does the class of the Ingress belong to this controller (--ingress-class)?"
        ),
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => format!(
            "the controller does not reach the pods of {}: silica status; kubectl get pods,endpointslices -n \
             {namespace}; a NetworkPolicy may stand between them",
            names::MANAGER
        ),
        status if status.is_redirection() => {
            "something in front redirects, which SDKs do not follow: switch that off for these hosts"
                .to_owned()
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "something in front wants a login of its own, which SDKs cannot give".to_owned()
        }
        _ => format!(
            "something else answers there: compare the address with Ingress, Gateway and Service in {namespace}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::cli::check::Verdict;

    fn check(status: StatusCode) -> Check {
        let route = Route::Tcp {
            host: "203.0.113.7".into(),
            port: 443,
        };
        let answer = Answer {
            status,
            body: Bytes::new(),
        };
        judge(&route, "api.a.example", &answer)
    }

    #[test]
    fn an_ingress_that_answers_itself_is_a_finding_with_a_way_out() {
        assert_eq!(check(StatusCode::OK).verdict, Verdict::Pass);
        for (status, part) in [
            (StatusCode::NOT_FOUND, "--ingress-class"),
            (StatusCode::BAD_GATEWAY, "endpointslices"),
            (StatusCode::SERVICE_UNAVAILABLE, "endpointslices"),
            (StatusCode::PERMANENT_REDIRECT, "redirects"),
            (StatusCode::IM_A_TEAPOT, "something else"),
        ] {
            let check = check(status);
            assert_eq!(check.verdict, Verdict::Fail);
            assert!(check.detail.contains(status.as_str()), "{}", check.detail);
            assert!(check.hint.unwrap().contains(part), "{status}");
        }
    }
}
