// slip-checkpoint as a user runs it: words, JSON, exit codes, and nothing left behind by a mistake.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import test, { type TestContext } from 'node:test';

const root = path.resolve(import.meta.dirname, '../../..');
const tiny = path.join(root, 'test/golden/torch/slip-tiny.pt');

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'slip-checkpoint-cli-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function run(...argv: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [path.join(root, 'orchestrator/bin/slip-checkpoint.js'), ...argv]);
  let [out, err] = ['', ''];
  child.stdout.on('data', (piece) => {
    out += piece;
  });
  child.stderr.on('data', (piece) => {
    err += piece;
  });
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, out, err };
}

test('help names every command, and every command its flags', async () => {
  const { code, out } = await run('--help');
  assert.equal(code, 0);
  for (const command of ['inspect', 'verify', 'convert', 'average', 'diff', 'prune', 'published']) {
    assert.ok(out.includes(`slip-checkpoint ${command}`), command);
  }
  const convert = await run('convert', '--help');
  assert.match(convert.out, /--to .*original \(.*torch \(.*checkpoint/s);
});

test('inspect says what the original wrote, in words and as JSON', async () => {
  const words = await run('inspect', tiny);
  assert.match(words.out, /PyTorch file in the names of the original/);
  assert.match(words.out, /SLIP_VITS16, 10,317 parameters in 77 tensors/);
  assert.match(words.out, /epoch 3, step 3, best zero-shot top-1 12\.50 %, with optimizer state/);
  const { code, out } = await run('inspect', tiny, '--json', '--tensors');
  const facts = JSON.parse(out);
  assert.equal(code, 0);
  assert.deepEqual([facts.format, facts.step, facts.args.lr, facts.entries.length], ['original', 3, 0.003, 77]);
});

test('convert there and back, verify, diff, average, prune', async (t) => {
  const folder = temporaryFolder(t);
  const checkpoints = path.join(folder, 'run', 'checkpoints');
  mkdirSync(path.dirname(checkpoints));
  const there = await run('convert', tiny, checkpoints, '--to', 'checkpoint');
  assert.equal(there.code, 0, there.err);
  assert.match(there.out, /wrote .*step-00000003/);
  const back = path.join(folder, 'back.pt');
  assert.equal((await run('convert', path.join(checkpoints, 'latest'), back, '--to', 'original')).code, 0);
  const same = await run('diff', tiny, back);
  assert.deepEqual([same.code, same.out], [0, '219 tensors are equal, 0 differ\n']);

  const verified = await run('verify', path.join(folder, 'run'), '--json');
  assert.deepEqual([verified.code, JSON.parse(verified.out)[0].ok], [0, true]);
  const changed = readFileSync(back);
  changed[Math.floor(changed.length / 2)] ^= 1;
  writeFileSync(back, changed);
  const bad = await run('verify', back);
  assert.deepEqual([bad.code, bad.out], [7, '']);
  assert.match(bad.err, /1 of \d+ entries have another CRC-32/);
  const differs = await run('diff', tiny, back, '--json');
  assert.equal(differs.code, 7);
  assert.equal(JSON.parse(differs.out).values.length, 1);

  const mean = path.join(folder, 'mean.pt');
  assert.equal((await run('average', mean, tiny, tiny, tiny, '--to', 'torch')).code, 0);
  assert.match((await run('diff', tiny, mean)).out, /^77 tensors are equal, 0 differ/);
  assert.match((await run('average', mean, tiny, '--to', 'torch')).err, /\[config\] an average needs at least two/);

  const pruned = await run('prune', path.join(folder, 'run'), '--keep-last', '1', '--dry-run');
  assert.deepEqual([pruned.code, pruned.out], [0, 'would remove nothing\nkept steps 3\n']);
});

test('a pretrained model comes from a mirror into the cache', async (t) => {
  const folder = temporaryFolder(t);
  const server = createServer((_, response) => {
    const bytes = readFileSync(tiny);
    response.writeHead(200, { 'content-length': bytes.length, etag: '"a"' }).end(bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const mirror = `http://127.0.0.1:${(server.address() as AddressInfo).port}/slip`;
  const cache = path.join(folder, 'cache');
  const target = path.join(folder, 'tower.safetensors');
  const flags = ['--pretrained', 'slip_small_100ep', '--mirror', mirror, '--cache', cache];
  const { code, out, err } = await run('convert', target, ...flags, '--to', 'timm');
  assert.equal(code, 0, err);
  assert.match(out, /build the model for it with timm\./);
  assert.deepEqual(readdirSync(cache), ['slip_small_100ep.pt']);
  const wrong = await run('inspect', '--pretrained', 'slip_smal_100ep', '--cache', cache);
  assert.equal(wrong.code, 2);
  assert.match(wrong.err, /did you mean slip_small_100ep\?/);
  const list = JSON.parse((await run('published', '--json')).out);
  assert.equal(list.length, 19);
  assert.match((await run('published')).out, /slip_large_100ep +SLIP_VITL16 +YFCC15M +100 +47\.9 +75\.1 +84\.8/);
});

test('mistakes end in one line with their code and leave nothing', async (t) => {
  const folder = temporaryFolder(t);
  const target = path.join(folder, 'out');
  const cut = path.join(folder, 'cut.pt');
  copyFileSync(tiny, cut);
  writeFileSync(cut, readFileSync(tiny).subarray(0, 100_000));
  const cases: [string[], number, RegExp][] = [
    [[], 2, /a command is needed/],
    [['inspct', 'x'], 2, /Unknown argument/],
    [['inspect'], 2, /a path, or --pretrained NAME/],
    [['inspect', path.join(folder, 'none.pt')], 7, /there is no .*none\.pt/],
    [['inspect', cut], 7, /damaged, get it again/],
    [['convert', tiny, '--to', 'timm'], 2, /wants SOURCE TARGET/],
    [['convert', tiny, target, '--to', 'hugging-face'], 8, /CLIPModel cannot hold/],
    [['convert', cut, target, '--to', 'timm'], 7, /damaged/],
    [['convert', tiny, target, '--to', 'open_clip'], 8, /open_clip cannot hold .*timm has no tower/],
    [['convert', tiny, path.join(folder, 'no', 'x.pt'), '--to', 'torch'], 7, /there is no folder/],
    [['prune', folder], 7, /no valid checkpoint/],
    [['prune', folder, '--keep-last', '0'], 2, /--keep-last 0/],
  ];
  for (const [argv, code, message] of cases) {
    const result = await run(...argv);
    assert.equal(result.code, code, `${argv.join(' ')}: ${result.err}`);
    assert.match(result.err, message);
    assert.equal(result.err.trim().split('\n').length, 1, result.err);
  }
  assert.equal(existsSync(target), false);
  assert.deepEqual(readdirSync(folder), ['cut.pt']);
});
