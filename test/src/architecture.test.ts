// The layers hold: every import of a workspace package is declared, allowed by the order below, and free of cycles.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';

const root = path.resolve(import.meta.dirname, '../..');

/** What a workspace may import; everything else is a mistake. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  'packages/core': [],
  'packages/pickle': ['core'],
  'packages/protocol': ['core'],
  'packages/comms': ['core', 'core/wat'],
  'packages/devices': ['core'],
  'packages/engine': ['core', 'devices'],
  'packages/model': ['core', 'core/wat', 'devices', 'devices/testing', 'engine', 'engine/trace'],
  'packages/data': ['core', 'core/wat', 'pickle'],
  'packages/checkpoint': ['core'],
  'packages/weights': ['core', 'pickle', 'checkpoint', 'model/architecture'],
  'packages/metrics': ['core'],
  'packages/node-slurm-rest': [],
  'packages/config': ['core', 'model/architecture', 'data/formats'],
  orchestrator: [
    'core',
    'protocol',
    'config',
    'config/bench-comm',
    'config/flags',
    'data',
    'data/prepare',
    'checkpoint',
    'weights',
    'devices',
    'model/architecture',
    'node-slurm-rest',
  ],
  worker: [
    'core',
    'protocol',
    'protocol/worker-pipe',
    'comms',
    'devices',
    'devices/testing',
    'engine',
    'model',
    'model/architecture',
    'data',
    'checkpoint',
    'weights',
    'weights/places',
    'metrics',
    'config',
  ],
  bench: [
    'core',
    'comms',
    'comms/testing/relay',
    'devices',
    'engine',
    'model',
    'model/architecture',
    'data',
    'checkpoint',
    'config',
  ],
};

function sources(folder: string): string[] {
  return readdirSync(path.join(root, folder, 'src'), { recursive: true })
    .map((name) => path.join(root, folder, 'src', String(name)))
    .filter((file) => file.endsWith('.ts'));
}

function imports(file: string): string[] {
  const text = readFileSync(file, 'utf8');
  const specifiers = /(?:\bfrom |\bimport |\bimport\()'([^'\n]+)'(?:;$|\))/gm;
  return [...text.matchAll(specifiers)].map((match) => match[1]);
}

for (const [workspace, allowed] of Object.entries(LAYERS)) {
  test(`${workspace} imports only what its layer allows and declares it`, () => {
    const manifest = JSON.parse(readFileSync(path.join(root, workspace, 'package.json'), 'utf8'));
    const declared = new Set([
      ...Object.keys(manifest.dependencies ?? {}),
      ...Object.keys(manifest.optionalDependencies ?? {}),
      ...Object.keys(manifest.devDependencies ?? {}),
    ]);
    const shared = new Set(
      Object.keys(JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')).devDependencies),
    );
    const files = sources(workspace);
    assert.ok(files.length > 0, 'sources were found');
    for (const file of files) {
      for (const target of imports(file)) {
        if (target.startsWith('node:')) continue;
        const where = `${path.relative(root, file)} imports ${target}`;
        if (target.startsWith('.')) {
          const resolved = path.resolve(path.dirname(file), target);
          assert.ok(resolved.startsWith(path.join(root, workspace) + path.sep), `${where}, outside its workspace`);
          continue;
        }
        const name = target
          .split('/')
          .slice(0, target.startsWith('@') ? 2 : 1)
          .join('/');
        const isTest =
          file.includes('.test.') || file.includes(`${path.sep}testing${path.sep}`) || file.includes('.long.');
        assert.ok(declared.has(name) || (isTest && shared.has(name)), `${where}, not in ${workspace}/package.json`);
        if (target.startsWith('@slip/') || target === 'node-slurm-rest') {
          assert.ok(allowed.includes(target.replace('@slip/', '')), `${where}, which its layer does not allow`);
        }
      }
    }
  });

  test(`${workspace} references in tsconfig.json what package.json depends on`, () => {
    const manifest = JSON.parse(readFileSync(path.join(root, workspace, 'package.json'), 'utf8'));
    const config = JSON.parse(readFileSync(path.join(root, workspace, 'tsconfig.json'), 'utf8'));
    const references = (config.references ?? [])
      .map((reference: { path: string }) => path.basename(reference.path))
      .sort();
    const dependencies = Object.keys(manifest.dependencies ?? {})
      .filter((name) => name.startsWith('@slip/') || name === 'node-slurm-rest')
      .map((name) => name.replace('@slip/', ''))
      .sort();
    assert.deepEqual(references, dependencies);
  });
}

test('ONNX Runtime is loaded in one place, which turns its reports off first', () => {
  const loaders = Object.keys(LAYERS)
    .flatMap(sources)
    .filter((file) => /^(import|export) (?!type).*'onnxruntime-node'/m.test(readFileSync(file, 'utf8')));
  assert.deepEqual(
    loaders.map((file) => path.relative(root, file)),
    ['packages/engine/src/execute/onnx-runtime.ts'],
  );
});

test('no file of the project names a path or registry of the machine it was written on', () => {
  for (const workspace of Object.keys(LAYERS)) {
    for (const file of sources(workspace)) {
      assert.doesNotMatch(
        readFileSync(file, 'utf8'),
        /\/work\/(main|shared)|registry\.npmjs/,
        path.relative(root, file),
      );
    }
  }
  assert.doesNotMatch(readFileSync(path.join(root, 'package-lock.json'), 'utf8'), /"resolved": "https?:/);
});
