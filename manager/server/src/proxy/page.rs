//! The small page that a browser shows in place of a JSON error.

use http::{HeaderMap, HeaderValue, StatusCode, header};

/// Media type of the page.
pub(super) const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// The form of an answer of our own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// For programs.
    Json,
    /// For people: only browsers that open an address ask for it, SDKs never do.
    Page,
}

impl Form {
    /// What the client asks for.
    pub(crate) fn wanted(headers: &HeaderMap) -> Self {
        let types = headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        let mut names = types.map(|kind| kind.split(';').next().unwrap_or_default().trim());
        if names.any(|name| name.eq_ignore_ascii_case("text/html")) {
            Self::Page
        } else {
            Self::Json
        }
    }
}

/// The page for a message about a sandbox.
pub(super) fn render(status: StatusCode, message: &str, id: Option<&str>, port: Option<u16>) -> String {
    let row = |name: &str, value: String| format!("<dt>{name}</dt><dd>{value}</dd>");
    let rows = [
        id.map(|id| row("Sandbox", escape(id))),
        port.map(|port| row("Port", port.to_string())),
        Some(row("Status", status.as_str().to_owned())),
    ];
    let rows: String = rows.into_iter().flatten().collect();
    let message = escape(message);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{message}</title>\
         <style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem}}\
         dl{{display:grid;grid-template-columns:max-content auto;gap:0 1rem}}dd{{margin:0}}</style></head>\
         <body><h1>{message}</h1><dl>{rows}</dl></body></html>\n"
    )
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(accept: &'static str) -> Form {
        Form::wanted(&HeaderMap::from_iter([(
            header::ACCEPT,
            HeaderValue::from_static(accept),
        )]))
    }

    #[test]
    fn only_who_asks_for_html_gets_a_page() {
        let firefox = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        assert_eq!(wanted(firefox), Form::Page);
        for program in ["*/*", "application/json", "text/html-not"] {
            assert_eq!(wanted(program), Form::Json, "{program}");
        }
        assert_eq!(Form::wanted(&HeaderMap::new()), Form::Json);
    }

    #[test]
    fn a_page_contains_no_markup_of_others() {
        let page = render(StatusCode::BAD_GATEWAY, "<script>&", None, None);
        assert!(
            page.contains("&lt;script&gt;&amp;") && !page.contains("<script>"),
            "{page}"
        );
    }
}
