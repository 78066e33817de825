// The command line of slip-data: help for every command, exit codes, errors that name the flag, what is printed.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { after } from 'node:test';
import { DATASET_FORMATS } from '@slip/data';

const root = path.resolve(import.meta.dirname, '../../..');
const golden = path.join(root, 'test/golden/datasets');
const work = mkdtempSync(path.join(os.tmpdir(), 'slip-data-'));
after(() => rmSync(work, { recursive: true, force: true }));

function run(...flags: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const script = path.join(root, 'orchestrator/bin/slip-data.js');
    execFile(process.execPath, [script, ...flags], { cwd: work }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

const COMMANDS = [
  'make-yfcc15m',
  'combine-captions',
  'make-cc3m',
  'make-cc12m',
  'make-emoji',
  'index',
  'prepare',
  'verify',
  'pack',
  'stats',
  'sample',
];

test('help lists every command, and those that read sets name every kind', async () => {
  const { stdout } = await run('--help');
  for (const command of COMMANDS) assert.match(stdout, new RegExp(`slip-data ${command} `));
  const pages = await Promise.all(['index', 'pack'].map((command) => run(command, '--help')));
  for (const { code, stdout: page } of pages) {
    assert.equal(code, 0);
    for (const { name } of DATASET_FORMATS) assert.ok(page.includes(`"${name}"`), name);
  }
});

test('mistakes have the exit code of their kind and name the flag', async () => {
  const coco = ['--dataset', 'coco', '--root', path.join(golden, 'coco'), '--index-dir', work];
  const cases: [string[], number, RegExp][] = [
    [[], 2, /a command is needed/],
    [['verfiy'], 2, /Unknown argument: verfiy/],
    [['verify', '--dataset', 'imagenet'], 2, /Invalid values/],
    [['verify', ...coco], 3, /coco needs --metadata: captions_train2017.json/],
    [['pack', ...coco, '--output', 'x', '--resize', '3'], 2, /--resize 3 is not a whole number from 16 to 8192/],
    [['sample', ...coco, '--samples', '0'], 2, /--samples 0 is not/],
    [['combine-captions', '--input', 'nowhere', '--output', 'x'], 3, /--input nowhere cannot be read/],
    [
      ['combine-captions', '--input', path.join(golden, 'redcaps/annotations'), '--output', 'nowhere/x'],
      3,
      /--output nowhere\/x: ENOENT/,
    ],
    [['make-yfcc15m', '--ids', 'a', '--subset', 'b', '--dataset-file', 'c'], 3, /a cannot be read: ENOENT/],
  ];
  const results = await Promise.all(cases.map(([flags]) => run(...flags)));
  for (const [i, [flags, code, message]] of cases.entries()) {
    assert.equal(results[i].code, code, `${flags.join(' ')}: ${results[i].stderr}`);
    assert.match(results[i].stderr, message);
  }
  assert.deepEqual(readdirSync(work), [], 'nothing is left');
});

test('a set is indexed, verified, counted and shown', async () => {
  const yfcc = ['--dataset', 'yfcc15m', '--root', path.join(golden, 'yfcc'), '--index-dir', path.join(work, 'index')];
  const flags = [...yfcc, '--metadata', path.join(golden, 'yfcc/yfcc15m.pkl')];
  const index = await run('index', ...flags);
  assert.match(index.stdout, /^yfcc15m: 5 samples, .*\narchives: 3 with 5 images, 99,997 missing\n$/);
  const verify = await run('verify', ...flags);
  assert.deepEqual([verify.code, verify.stdout], [0, '5 of 5 images can be read\n']);
  const stats = JSON.parse((await run('stats', '--json', ...flags)).stdout);
  assert.deepEqual([stats.samples, stats.captions, stats.emptyCaptions], [5, 10, 2]);
  const sample = await run('sample', ...flags, '--samples', '2', '--output', 'two.png');
  assert.match(sample.stdout, /^made two.png: samples \d, \d; /);
  assert.deepEqual(readdirSync(work).sort(), ['index', 'two.png', 'verify.jsonl']);
});
