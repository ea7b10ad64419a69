// An agent that never stops: it asks the API, runs commands and reads files, and it holds a command
// and a download. Each line of its input is answered with SUCCEEDED<tab>FAILED<tab>FIRST ERROR since
// the last one.

import assert from 'node:assert/strict'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

import { Sandbox } from 'e2b'

const PAUSE = 20
const SIZE = 4 << 20

let counts = { succeeded: 0, failed: 0, error: '' }
const succeed = () => (counts.succeeded += 1)
const fail = (what, error) => {
  counts.failed += 1
  counts.error ||= `${what}: ${error?.name}: ${error?.message} ${error?.cause ?? ''}`.replaceAll(/[\t\n]/g, ' ')
}

const sandbox = await Sandbox.create('base', { timeoutMs: 900_000 })
await sandbox.files.write('/tmp/large', 'x'.repeat(SIZE))

const asked = {
  listing: () => Sandbox.list().nextItems(),
  information: () => sandbox.getInfo(),
  command: async () => assert.equal((await sandbox.commands.run('echo -n said')).stdout, 'said'),
  reading: async () => assert.equal((await sandbox.files.read('/tmp/large', { format: 'bytes' })).length, SIZE),
}

const held = {
  // Each number has to arrive, in order.
  command: async () => {
    let expected = 0
    let rest = ''
    const onStdout = (data) => {
      const lines = (rest + data).split('\n')
      rest = lines.pop()
      for (const line of lines) {
        if (line !== String(expected)) fail('held command', new Error(`${line} in place of ${expected}`))
        expected += 1
        succeed()
      }
    }
    const script = 'i=0; while :; do echo $i; i=$((i + 1)); sleep 0.05; done'
    const handle = await sandbox.commands.run(script, { background: true, timeoutMs: 0, onStdout })
    await handle.wait()
    throw new Error('the command ended')
  },
  // Read so slowly that it outlasts a replacement.
  download: async () => {
    for (;;) {
      let size = 0
      for await (const piece of await sandbox.files.read('/tmp/large', { format: 'stream' })) {
        size += piece.length
        succeed()
        await sleep(PAUSE)
      }
      assert.equal(size, SIZE)
    }
  },
}

for (const [name, ask] of Object.entries(asked)) {
  void (async () => {
    for (;;) {
      await ask().then(succeed, (error) => fail(name, error))
      await sleep(PAUSE)
    }
  })()
}
for (const [name, hold] of Object.entries(held)) {
  hold().catch((error) => fail(`held ${name}`, error))
}

for await (const _ of createInterface({ input: process.stdin })) {
  process.stdout.write(`${counts.succeeded}\t${counts.failed}\t${counts.error}\n`)
  counts = { succeeded: 0, failed: 0, error: '' }
}
await sandbox.kill()
process.exit(0)
