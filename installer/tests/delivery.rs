//! What programs are told that bring images to nodes, and what containerd makes of the archive.
//!
//! `kind`, `k3d`, `ctr` and `k3s` are scripts here that keep their arguments and the archive: no
//! cluster of theirs is needed to see what they get. What a real containerd does with the archive
//! is seen with the executable that `SILICA_CONTAINERD` names.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use silica::delivery::{
    Target, Tool,
    bundle::{Architecture, Bundle, Member, Part},
    images, send,
};
use silica_api::names;

/// Which case the inner test has; see [`told`].
const CASE: &str = "SILICA_TEST_DELIVERY";

fn bundle() -> Bundle {
    let member = |name| {
        let part = Part {
            binary: format!("executable {name}").into_bytes(),
            compressed: b"",
        };
        Member {
            name,
            parts: [(Architecture::Amd64, part)].into(),
            tag: "1.2.3-abc".into(),
            for_registry: OnceLock::new(),
        }
    };
    Bundle {
        manager: member(names::MANAGER_IMAGE),
        runtime: member(names::RUNTIME_IMAGE),
    }
}

fn references() -> [String; 2] {
    let bundle = bundle();
    [bundle.manager.reference(), bundle.runtime.reference()]
}

/// What a script was told, and the archive that it got.
struct Told {
    calls: Vec<String>,
    archive: Option<PathBuf>,
    output: String,
    _folder: tempfile::TempDir,
}

/// Sends with a search path that has these programs only. The search path belongs to a process:
/// this test runs itself once more, for [`send_once`] alone.
fn told(case: &str, programs: &[&str], listed: &str) -> Told {
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    for program in programs {
        let script = format!(
            "#!/bin/sh\nrecord={}\necho \"{program} $*\" >> $record/calls\nfor word in \"$@\"; do\n  if [ -f \"$word\" ]; \
             then /bin/cp \"$word\" $record/archive.tar; fi\n  if [ \"$word\" = ls ]; then echo '{listed}'; fi\ndone\n",
            folder.path().display()
        );
        let path = bin.join(program);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "send_once", "--ignored", "--nocapture"])
        .env("PATH", &bin)
        .env(CASE, case)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}");
    let calls = fs::read_to_string(folder.path().join("calls")).unwrap_or_default();
    let archive = folder.path().join("archive.tar");
    Told {
        // The name of the temporary file is nobody's business.
        calls: calls.lines().map(without_path).collect(),
        archive: archive.exists().then_some(archive),
        output: said,
        _folder: folder,
    }
}

fn without_path(line: &str) -> String {
    let words = line.split(' ').map(|word| {
        let is_archive = word.starts_with(&*env::temp_dir().to_string_lossy()) && !word.contains("sock");
        if is_archive { "ARCHIVE" } else { word }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
#[ignore = "runs inside the others"]
async fn send_once() {
    let architecture = Architecture::Amd64;
    let of_tool = |tool, cluster: &str| Target::Tool {
        tool,
        cluster: cluster.into(),
        architecture,
    };
    let target = match env::var(CASE).unwrap().as_str() {
        "kind" => of_tool(Tool::Kind, "dev"),
        "k3d" => of_tool(Tool::K3d, "my-lab"),
        socket => Target::Containerd {
            socket: socket.into(),
            architecture,
        },
    };
    match send::send(&bundle(), &target).await {
        Ok(told) => println!("told: {}", told.unwrap()),
        Err(error) => println!("failed: {error}"),
    }
}

/// Names of the images in the archive, with everything that it names in place.
#[track_caller]
fn names_in(archive: &Path) -> Vec<String> {
    let read = |path: &str| {
        let output = run(Command::new("tar").arg("-xOf").arg(archive).arg(path));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let index = read("index.json");
    let manifests = index["manifests"].as_array().unwrap();
    let names = manifests.iter().map(|entry| {
        let digest = entry["digest"].as_str().unwrap().replace(':', "/");
        let manifest = read(&format!("blobs/{digest}"));
        assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
        entry["annotations"]["io.containerd.image.name"]
            .as_str()
            .unwrap()
            .to_owned()
    });
    names.collect()
}

#[track_caller]
fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output
}

#[test]
fn kind_and_k3d_get_the_archive_of_both_images_and_the_cluster_s_name() {
    for (case, call) in [
        ("kind", "kind load image-archive ARCHIVE --name dev"),
        ("k3d", "k3d image import ARCHIVE --cluster my-lab"),
    ] {
        let told = told(case, &[case], "");
        assert_eq!(told.calls, [call]);
        assert_eq!(names_in(&told.archive.unwrap()), references());
    }
}

#[test]
fn containerd_gets_what_it_does_not_list() {
    let ctr = "ctr --address /a.sock --namespace k8s.io images";
    let told_nothing = told("/a.sock", &["ctr", "k3s"], "some/other:1");
    assert_eq!(
        told_nothing.calls,
        [format!("{ctr} ls --quiet"), format!("{ctr} import ARCHIVE")]
    );
    assert_eq!(names_in(&told_nothing.archive.unwrap()), references());
    let [manager, runtime] = references();
    let told_one = told("/a.sock", &["ctr"], &manager);
    assert_eq!(
        names_in(&told_one.archive.unwrap()),
        std::slice::from_ref(&runtime)
    );
    let told_both = told("/a.sock", &["ctr"], &format!("{manager}\n{runtime}"));
    assert_eq!(told_both.calls, [format!("{ctr} ls --quiet")]);
    assert!(told_both.output.contains("the node has them"));
}

#[test]
fn the_client_inside_k3s_is_used_where_there_is_no_other() {
    let socket = "/run/k3s/containerd/containerd.sock";
    let told_k3s = told(socket, &["k3s"], "");
    let ctr = format!("k3s ctr --address {socket} --namespace k8s.io images");
    assert_eq!(
        told_k3s.calls,
        [format!("{ctr} ls --quiet"), format!("{ctr} import ARCHIVE")]
    );
    let nobody = told(socket, &[], "");
    assert!(
        nobody.output.contains("failed: failed to run ctr"),
        "{}",
        nobody.output
    );
}

/// A containerd of its own; ends with the value.
struct Containerd {
    child: Child,
    folder: tempfile::TempDir,
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Containerd {
    /// `None` when no executable is named; on CI that is a failure.
    fn start() -> Option<Self> {
        let Some(executable) = env::var_os("SILICA_CONTAINERD") else {
            assert!(
                env::var("CI").as_deref() != Ok("true"),
                "SILICA_CONTAINERD must be set on CI"
            );
            println!("not run: SILICA_CONTAINERD does not name an executable");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.toml");
        let (root, state) = (folder.path().join("root"), folder.path().join("state"));
        fs::write(
            &config,
            format!(
                "version = 2\nroot = \"{}\"\nstate = \"{}\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
                 [grpc]\naddress = \"{}\"\n",
                root.display(),
                state.display(),
                folder.path().join("c.sock").display()
            ),
        )
        .unwrap();
        let child = Command::new(executable)
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let containerd = Self { child, folder };
        let deadline = Instant::now() + Duration::from_secs(20);
        while !containerd.ctr(&["version"]).output().unwrap().status.success() {
            let log = fs::read_to_string(containerd.folder.path().join("log")).unwrap();
            assert!(Instant::now() < deadline, "containerd does not answer:\n{log}");
            std::thread::sleep(Duration::from_millis(100));
        }
        Some(containerd)
    }

    fn ctr(&self, args: &[&str]) -> Command {
        let mut command = Command::new("ctr");
        command
            .arg("--address")
            .arg(self.folder.path().join("c.sock"))
            .args(["--namespace", "k8s.io"])
            .args(args);
        command
    }

    fn names(&self) -> Vec<String> {
        let output = run(&mut self.ctr(&["images", "ls", "--quiet"]));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn containerd_takes_the_archive_as_kind_k3d_and_we_hand_it_over() {
    let Some(containerd) = Containerd::start() else {
        return;
    };
    let bundle = bundle();
    let archive = images::archive(&[&bundle.manager, &bundle.runtime], Architecture::Amd64).unwrap();
    // By a file as k3s users do, and by standard input as kind and k3d do on their nodes.
    let imports: [&[&str]; 3] = [
        &["images", "import", &archive.path().to_string_lossy()],
        &[
            "images",
            "import",
            "--all-platforms",
            "--digests",
            "--snapshotter=native",
            "-",
        ],
        &["image", "import", "--all-platforms", "-"],
    ];
    for arguments in imports {
        let mut import = containerd.ctr(arguments);
        // Other snapshotters do not work on every file system that tests run on.
        import.env("CONTAINERD_SNAPSHOTTER", "native");
        run(import.stdin(fs::File::open(archive.path()).unwrap()));
        let found = containerd.names();
        for reference in references() {
            assert!(found.contains(&reference), "{arguments:?}: {found:?}");
        }
        run(&mut containerd.ctr(&["images", "check"]));
        let all: Vec<&str> = found.iter().map(String::as_str).collect();
        run(&mut containerd.ctr(&[&["images", "rm", "--sync"][..], &all].concat()));
        assert!(containerd.names().is_empty());
    }
}
