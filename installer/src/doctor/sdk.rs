//! What the SDKs themselves raise.

use super::Case;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "sdk-mismatch",
        says: &[&["has no attribute '_transport'"]],
        cause: "this e2b-code-interpreter does not fit the installed e2b; no request was sent",
        help: &[
            "`pip install -U e2b e2b-code-interpreter`, or `pip install e2b-code-interpreter==2.4.1 e2b==2.28.0`",
        ],
    },
    Case {
        id: "key-format",
        says: &[&["invalid api key format"], &["api key", "must start with"]],
        cause: "some versions of the Python SDK accept only keys of the form `e2b_` and hexadecimal digits",
        help: &[
            "use a generated key: `silica env`",
            "versions 2.29 to 2.45 take `E2B_VALIDATE_API_KEY=false`",
        ],
    },
    Case {
        id: "key-missing",
        says: &[
            &["api key is required, please visit"],
            &["e2b_api_key environment variable"],
        ],
        cause: "`E2B_API_KEY` is not set where the program runs",
        help: &["`eval \"$(silica env)\"`"],
    },
    Case {
        id: "no-bash",
        says: &[
            &["/bin/bash", "no such file or directory"],
            &["bash", "executable file not found"],
        ],
        cause: "`commands.run` of the SDKs asks for bash, which the template's image has not",
        help: &[
            "add bash to the image",
            "files and your own ports work without it",
        ],
    },
    Case {
        id: "kernel-missing",
        says: &[
            &["no module named ipykernel"],
            &["no kernel for language"],
            &["kernel", "is not installed"],
        ],
        cause: "`run_code` needs a Jupyter kernel in the template's image",
        help: &[
            "`pip install ipykernel` in the image",
            "the template `code-interpreter` has one",
        ],
    },
];
