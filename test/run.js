// Runs the compiled tests with node's own runner: `node test/run.js [--long] [name part ...]`.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const parts = process.argv.slice(2).filter((argument) => argument !== '--long');
const ending = process.argv.includes('--long') ? '.long.js' : '.test.js';

const folders = [
  'orchestrator',
  'worker',
  'bench',
  'test',
  ...readdirSync(path.join(root, 'packages')).map((p) => `packages/${p}`),
];
const files = folders
  .flatMap((folder) => listFiles(path.join(root, folder, 'dist')))
  .filter((file) => file.endsWith(ending) && parts.every((part) => file.includes(part)));
if (files.length === 0) {
  console.error(`no ${ending} file matches ${parts.join(' ') || 'anything'}; run \`npm run build\` first`);
  process.exit(1);
}
const runner = ['--enable-source-maps', '--test'];
// Three on two cores: whole runs wait for time-outs, for Slurm and for each other about a quarter of their time.
runner.push('--test-concurrency=3');
// A file that hangs is a failure with a name; the longest takes two minutes. Kill series and soaks have no such bound.
if (ending === '.test.js') runner.push(`--test-timeout=${8 * 60_000}`);
const child = spawn(process.execPath, [...runner, ...files], {
  stdio: 'inherit',
  cwd: root,
  // Of this project alone, and kept: what a test starts twice is traced once.
  env: {
    ...process.env,
    SLIP_GRAPH_CACHE: process.env.SLIP_GRAPH_CACHE ?? path.join(root, 'node_modules/.cache/slip-graphs'),
  },
});
child.on('exit', (code, signal) => process.exit(signal === null ? (code ?? 1) : 1));

function listFiles(folder) {
  try {
    return readdirSync(folder, { recursive: true }).map((name) => path.join(folder, String(name)));
  } catch {
    return [];
  }
}
