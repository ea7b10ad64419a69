//! Parsing of the formats passwd(5) and group(5).

use std::collections::HashMap;
use std::path::PathBuf;

use super::Account;

/// Finds a user in the text of `/etc/passwd`; the groups are left empty.
pub fn parse_account(passwd: &str, name: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        let home = fields.nth(1).filter(|home| !home.is_empty()).unwrap_or("/");
        Some(Account {
            name: name.to_owned(),
            uid,
            gid,
            groups: Vec::new(),
            home: PathBuf::from(home),
        })
    })
}

/// Ids of the groups of a user in the text of `/etc/group`, the primary one first.
pub fn parse_group_ids(group: &str, name: &str, primary: u32) -> Vec<u32> {
    let mut ids = vec![primary];
    for line in group.lines() {
        let mut fields = line.split(':').skip(2);
        let Some(id) = fields.next().and_then(|id| id.parse().ok()) else {
            continue;
        };
        let is_member = fields
            .next()
            .is_some_and(|members| members.split(',').any(|member| member == name));
        if is_member && !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

/// Names by id in the text of either file; the first entry of an id wins, as in libc.
pub fn parse_names(database: &str) -> HashMap<u32, String> {
    let mut names = HashMap::new();
    for line in database.lines() {
        let mut fields = line.split(':');
        let (Some(name), Some(id)) = (fields.next(), fields.nth(1).and_then(|id| id.parse().ok())) else {
            continue;
        };
        names.entry(id).or_insert_with(|| name.to_owned());
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nbroken\nuser:x:1000:1001::/home/user:/bin/bash\n";

    #[test]
    fn account_is_found_by_its_whole_name() {
        let account = parse_account(PASSWD, "user").unwrap();
        assert_eq!((account.uid, account.gid), (1000, 1001));
        assert_eq!(account.home, PathBuf::from("/home/user"));
        assert_eq!(parse_account(PASSWD, "use"), None);
    }

    #[test]
    fn groups_are_the_primary_and_those_that_list_the_user() {
        let group = "root:x:0:\nsudo:x:27:ada,user\nuser:x:1001:\nother:x:50:superuser\n";
        assert_eq!(parse_group_ids(group, "user", 1001), [1001, 27]);
    }

    #[test]
    fn first_name_of_an_id_wins() {
        let names = parse_names("root:x:0:0::/:\ntoor:x:0:0::/:\nuser:x:1000:1000::/:\n");
        assert_eq!(names[&0], "root");
        assert_eq!(names[&1000], "user");
    }
}
