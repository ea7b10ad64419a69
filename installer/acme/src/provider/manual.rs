//! A person puts the records into DNS. Nothing has to be confirmed: the records
//! themselves say when they are there.

use super::{Dns01, Error, TxtRecord};

/// Shows the records.
pub struct Manual {
    show: Box<dyn Fn(&str) + Send + Sync>,
}

impl Manual {
    /// `show` is called with whole texts of one or more lines.
    pub fn new(show: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { show: Box::new(show) }
    }

    fn tell(&self, title: &str, records: &[TxtRecord]) {
        let lines: Vec<String> = records
            .iter()
            .map(|record| format!("    {}", record.zone_line()))
            .collect();
        (self.show)(&format!("{title}\n{}", lines.join("\n")));
    }
}

impl Dns01 for Manual {
    async fn present(&self, records: &[TxtRecord]) -> Result<(), Error> {
        let title = if records.len() > 1 {
            "Create these TXT records. The same name has several values: keep all of them. \
             Going on by itself once every name server shows them."
        } else {
            "Create this TXT record. Going on by itself once every name server shows it."
        };
        self.tell(title, records);
        Ok(())
    }

    async fn cleanup(&self, records: &[TxtRecord]) -> Result<(), Error> {
        self.tell("These TXT records are not needed any more:", records);
        Ok(())
    }
}
