"""Rewrites where the SDK looks for an installation: one host name, one path prefix.

The API lies below `<domain>/kruise/api`, port P of sandbox S below
`<domain>/kruise/S/P`.
"""

import os


def patch_e2b(https: bool = True) -> None:
    """Makes every Sandbox made from now on use path-style addresses."""
    from e2b import ConnectionConfig
    from e2b.sandbox.main import SandboxBase
    from e2b_code_interpreter import AsyncSandbox, Sandbox

    scheme = "https" if https else "http"
    domain = os.environ["E2B_DOMAIN"]
    os.environ["E2B_API_URL"] = f"{scheme}://{domain}/kruise/api"

    def config_host(self, sandbox_id, sandbox_domain, port):
        return f"{sandbox_domain or self.domain}/kruise/{sandbox_id}/{port}"

    def sandbox_host(self, port):
        return config_host(self.connection_config, self.sandbox_id, self.sandbox_domain, port)

    def sandbox_url(self, sandbox_id, sandbox_domain):
        return f"{scheme}://{config_host(self, sandbox_id, sandbox_domain, 49983)}"

    ConnectionConfig.get_host = config_host
    SandboxBase.get_host = sandbox_host
    if not https:
        ConnectionConfig.get_sandbox_url = sandbox_url
        for kind in (Sandbox, AsyncSandbox):
            kind._jupyter_url = property(lambda self: f"{scheme}://{self.get_host(49999)}")
