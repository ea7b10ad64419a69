#!/bin/sh
# Runs as root in the image's root file system.
set -eu

useradd --create-home --uid 1000 --groups sudo --shell /bin/bash user
echo 'user ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/user
chmod 0440 /etc/sudoers.d/user
mkdir -p /code
chown user:user /code

# Times are not kept in an image, so compiled Python files must not be checked by time.
python3 -m compileall -q --invalidation-mode unchecked-hash /usr/lib/python3* || true

rm -rf /var/cache/apt/* /var/lib/apt/lists/* /var/log/* /usr/share/doc/* /usr/share/man/* /tmp/*
