// The newest JavaScript SDKs in single-host form: E2B_API_URL and E2B_SANDBOX_URL
// name one address, and only headers tell which sandbox and port are meant.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { CommandExitError, NotFoundError, Sandbox } from 'e2b'
import { Sandbox as CodeSandbox } from '@e2b/code-interpreter'

for (const name of ['E2B_API_KEY', 'E2B_API_URL', 'E2B_SANDBOX_URL']) {
  assert.ok(process.env[name], `${name} is not set: run this suite with "cargo xtask test javascript"`)
}

let sandbox
before(async () => {
  sandbox = await Sandbox.create('base', { timeoutMs: 120_000, metadata: { suite: 'javascript' } })
})
after(async () => {
  await sandbox?.kill()
})

test('runs commands', async () => {
  const result = await sandbox.commands.run('echo out; echo err >&2')
  assert.deepEqual([result.stdout, result.stderr, result.exitCode], ['out\n', 'err\n', 0])
})

test('reports the exit code of a failing command', async () => {
  await assert.rejects(sandbox.commands.run('exit 3'), (error) => {
    assert.ok(error instanceof CommandExitError)
    assert.equal(error.exitCode, 3)
    return true
  })
})

test('streams output and feeds input', async () => {
  let output = ''
  const handle = await sandbox.commands.run('cat', {
    background: true,
    stdin: true,
    onStdout: (data) => {
      output += data
    },
  })
  await sandbox.commands.sendStdin(handle.pid, 'typed\n')
  await sandbox.commands.closeStdin(handle.pid)
  await handle.wait()
  assert.equal(output, 'typed\n')
})

test('writes, reads, lists and removes files', async () => {
  await sandbox.files.write('/tmp/js/täxt.txt', 'some täxt')
  assert.equal(await sandbox.files.read('/tmp/js/täxt.txt'), 'some täxt')
  assert.deepEqual((await sandbox.files.list('/tmp/js')).map((entry) => entry.name), ['täxt.txt'])
  await sandbox.files.remove('/tmp/js')
  assert.equal(await sandbox.files.exists('/tmp/js'), false)
})

test('watches a directory', async () => {
  await sandbox.files.makeDir('/tmp/js-watch')
  const seen = new Promise((resolve) => {
    sandbox.files.watchDir('/tmp/js-watch', (event) => resolve(event.name)).then(() =>
      sandbox.files.write('/tmp/js-watch/new.txt', 'x'),
    )
  })
  assert.equal(await seen, 'new.txt')
})

test('knows its metadata and its state', async () => {
  const info = await sandbox.getInfo()
  assert.equal(info.metadata.suite, 'javascript')
  assert.equal(await sandbox.isRunning(), true)
})

test('runs code', async () => {
  const interpreter = await CodeSandbox.create('code-interpreter', { timeoutMs: 120_000 })
  try {
    const execution = await interpreter.runCode("print('hello, wörld €')\n6 * 7")
    assert.deepEqual(execution.logs.stdout, ['hello, wörld €\n'])
    assert.equal(execution.text, '42')
  } finally {
    await interpreter.kill()
  }
})

test('a killed sandbox is not found', async () => {
  const other = await Sandbox.create('base')
  assert.equal(await other.kill(), true)
  assert.equal(await other.isRunning(), false)
  await assert.rejects(Sandbox.getInfo(other.sandboxId), NotFoundError)
})
