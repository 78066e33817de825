// Flags, recipes and plans: precedence, messages, identity of a run, and numbers at awkward sizes.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { configKey, PRETRAIN_FLAGS } from './flags.js';
import { parseRecipe } from './parse-recipe.js';
import { describePlan, describeRows, planTraining, rowsOfRanks } from './plan.js';
import { modelOf, resolvePretrainConfig } from './run-config.js';
import { continueRun, readRunConfig, writeRunConfig } from './run-folder.js';
import { resolveTask } from './tasks.js';

const root = path.resolve(import.meta.dirname, '../../..');
const launch = { numNodes: 1, nprocPerNode: 2 };
const resolve = (flags: Record<string, unknown>, recipe?: string) =>
  resolvePretrainConfig({ flags, launch, cwd: root, ...(recipe === undefined ? {} : { recipe }) });

test("defaults are the original's", async () => {
  const { config } = await resolve({});
  const { model, dataset, metadata, lr, lrStart, lrEnd, wd, betas, eps, epochs, warmupEpochs, batchSize, updateFreq } =
    config;
  assert.deepEqual([model, dataset, metadata], ['SLIP_VITB16', 'yfcc15m', 'yfcc15m.pkl']);
  assert.deepEqual([lr, lrStart, lrEnd, wd, betas, eps], [3e-3, 1e-6, 1e-5, 0.1, [0.9, 0.98], 1e-8]);
  assert.deepEqual([epochs, warmupEpochs, batchSize, updateFreq, config.outputDir], [25, 1, 64, 1, './']);
  assert.deepEqual([config.sslMlpDim, config.sslEmbDim, config.sslScale, config.sslTemp], [4096, 256, 1, 0.1]);
});

test('every flag with a default has a key of its own, and the table has no name twice', async () => {
  const { config } = await resolve({});
  const names = PRETRAIN_FLAGS.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  const withDefault = PRETRAIN_FLAGS.filter((flag) => flag.default !== undefined).map(({ name }) => configKey(name));
  assert.deepEqual(
    new Set(Object.keys(config)),
    new Set([...withDefault, 'rowsPerMicroBatch', 'numNodes', 'nprocPerNode']),
  );
});

test('flags win over the recipe, the recipe over defaults; hyphens and underscores are the same', async () => {
  const { config } = await resolve({ lr: 7e-4, update_freq: 4 }, 'clip_vits16');
  assert.deepEqual([config.lr, config.wd, config.updateFreq, config.model], [7e-4, 0.5, 4, 'CLIP_VITS16']);
});

test('every recipe resolves, and the published ones have the published settings', async () => {
  const names = readdirSync(path.join(root, 'configs')).map((name) => path.basename(name, '.yaml'));
  const published = { slip: [3e-3, 0.1], clip: [5e-4, 0.5], simclr: [3.2e-3, 0.1] };
  const wanted = ['slip', 'clip', 'simclr'].flatMap((family) =>
    ['s', 'b', 'l'].map((size) => `${family}_vit${size}16`),
  );
  const longer = ['s', 'b', 'l'].flatMap((size) => [50, 100].map((epochs) => `slip_vit${size}16_${epochs}ep`));
  const others = ['cc3m', 'cc12m'].flatMap((set) => ['clip', 'slip'].map((family) => `${family}_vitb16_${set}`));
  for (const name of [...wanted, ...longer, ...others, 'quickstart'])
    assert.ok(names.includes(name), `configs/${name}.yaml`);
  const classifiers = ['linear_imagenet', ...['s', 'b', 'l'].map((size) => `finetune_vit${size}16`)];
  for (const name of classifiers) assert.ok(names.includes(name), `configs/${name}.yaml`);
  const small = ['emoji_linear', 'emoji_finetune'];
  for (const name of small) {
    const task = name === 'emoji_linear' ? 'linear' : 'finetune';
    const input = {
      flags: { pretrained: 'weights' },
      recipe: name,
      launch: { numNodes: 1, nprocPerNode: 1 },
      cwd: root,
    };
    assert.deepEqual((await resolveTask(task, input)).warnings, [], name);
  }
  for (const name of names.filter((name) => ![...classifiers, ...small].includes(name))) {
    const { config, warnings } = await resolve({}, name);
    assert.deepEqual(warnings, [], name);
    assert.ok(modelOf(config).name, name);
    const family = name.split('_')[0] as keyof typeof published;
    if (published[family] === undefined) continue;
    assert.deepEqual([config.lr, config.wd], published[family], name);
    assert.equal(config.batchSize, 64, name);
    const epochs = name.endsWith('cc3m') ? 40 : name.endsWith('cc12m') ? 35 : Number(/_(\d+)ep$/.exec(name)?.[1] ?? 25);
    assert.equal(config.epochs, epochs, name);
  }
});

test('mistakes in recipes name file, line and key', () => {
  const cases: [string, RegExp][] = [
    ['lr: 1e-3\nupdate-frq: 2\n', /^r.yaml:2: unknown key "update-frq"; did you mean update-freq\?$/],
    ['\nlr: fast\n', /^r.yaml:2: lr is "fast"; a number of at least 0 is wanted$/],
    ['epochs: 1.5', /^r.yaml:1: epochs is 1.5; a whole number of at least 1 is wanted$/],
    ['wandb: yes', /^r.yaml:1: wandb is "yes"; true or false is wanted$/],
    ['betas: [0.9]', /betas is \[0.9\]; 2 numbers is wanted/],
    ['gather: half', /gather is "half"; one of full, query-only is wanted/],
    ['- 1', /r.yaml is not a list of "key: value" lines/],
    ['lr: 1\nlr: 2\n', /r.yaml:2: /],
  ];
  for (const [source, message] of cases) assert.throws(() => parseRecipe(source, 'r.yaml'), { message });
  assert.deepEqual(parseRecipe('update_freq: 2\nlr: 1e-3\nbetas: [0.9, 0.95]', 'r.yaml'), {
    'update-freq': 2,
    lr: 1e-3,
    betas: [0.9, 0.95],
  });
});

test('settings that do not fit each other name the flag to change', async () => {
  const cases: [Record<string, unknown>, RegExp][] = [
    [{ 'lr-start': 1 }, /--lr-start 1 is above --lr 0.003/],
    [{ 'warmup-epochs': 30 }, /--warmup-epochs 30 is longer than --epochs 25/],
    [{ 'start-epoch': 25 }, /--start-epoch 25 is not below --epochs 25/],
    [{ 'image-size': 100 }, /--image-size 100 is not a multiple of --patch-size 16/],
    [{ device: 'webgpu', reduce: 'invariant' }, /--reduce invariant computes .* --device cpu, not webgpu/],
    [
      { precision: 'bf16', 'disable-amp': true },
      /--disable-amp is --precision fp32, and --precision bf16 is given too/,
    ],
    [{ precision: 'fp16', compress: 'powersgd' }, /--compress powersgd .* --precision fp16/],
    [{ compress: 'powersgd', reduce: 'invariant' }, /--compress powersgd keeps errors .* not with --reduce invariant/],
    [{ model: 'slip_vitb61' }, /did you mean SLIP_VITB16/],
  ];
  for (const [flags, message] of cases) await assert.rejects(resolve(flags), { message });
  const { warnings } = await resolve({ model: 'CLIP_VITS16', 'ssl-temp': 0.2 });
  assert.deepEqual(warnings, ['--ssl-temp has no effect with CLIP_VITS16']);
  const idle = await resolve({ 'powersgd-rank': 2 });
  assert.deepEqual(idle.warnings, ['--powersgd-rank has no effect without --compress powersgd']);
});

test('the plan of the paper: SLIP on YFCC15M with 8 x 8 and batch 64', async () => {
  for (const sampler of ['slip', 'torch']) {
    const { config } = await resolvePretrainConfig({
      flags: { sampler },
      launch: { numNodes: 8, nprocPerNode: 8 },
      cwd: root,
    });
    const plan = planTraining(config, 14_689_580);
    assert.deepEqual(
      [plan.globalBatch, plan.stepsPerEpoch, plan.totalSteps, plan.warmupSteps],
      [4096, 3586, 89650, 3586],
    );
    assert.match(describePlan(config, { size: 14_689_580, source: 'published' }), /3,586 per epoch, 89,650 in all/);
  }
});

test('left-over micro-batches are passed over; an epoch without a step is refused', async () => {
  const { config } = await resolve({ 'batch-size': 4, 'update-freq': 3, epochs: 2 });
  const plan = planTraining(config, 8 * 10 + 7);
  assert.deepEqual([plan.batchesPerEpoch, plan.stepsPerEpoch, plan.leftOverBatches, plan.totalSteps], [10, 3, 1, 6]);
  assert.throws(
    () => planTraining(config, 8 * 2),
    /an epoch has no step: 16 samples make 2 micro-batches of 8 rows \(2 x 4\)/,
  );
  const { config: long } = await resolve({ 'warmup-steps': 1000, 'batch-size': 4, epochs: 2 });
  assert.throws(() => planTraining(long, 80), /--warmup-steps 1000 is longer than the run of 20 steps/);
});

test('a run folder takes the same run again, and refuses another', async (context) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'slip-config-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const flags = { 'output-dir': folder, lr: 1e-3 };
  const first = await resolve(flags);
  await writeRunConfig(first.config, first.hash);
  assert.deepEqual(await readRunConfig(path.join(folder, 'config.json')), {
    config: JSON.parse(JSON.stringify(first.config)),
    hash: first.hash,
  });

  // What may change between attempts, and other ranks with the same micro-batches.
  const moved = await resolvePretrainConfig({
    flags: { ...flags, workers: 2, 'print-freq': 1, 'max-steps': 5, 'batch-size': 32 },
    launch: { numNodes: 1, nprocPerNode: 4 },
    cwd: root,
  });
  assert.equal(moved.hash, first.hash);
  await writeRunConfig(moved.config, moved.hash);

  const other = await resolve({ ...flags, lr: 2e-3, seed: 1 });
  const before = readFileSync(path.join(folder, 'config.json'), 'utf8');
  await assert.rejects(writeRunConfig(other.config, other.hash), /another run \(lr 0.001 -> 0.002, seed 0 -> 1\)/);
  assert.equal(readFileSync(path.join(folder, 'config.json'), 'utf8'), before);
});

test('a run whose views were exact does not go on with fast ones; folders from before there was a choice were exact', async (context) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'slip-transforms-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = path.join(folder, 'config.json');
  const start = async (transforms?: string) => {
    const { config, hash } = await resolve({
      'output-dir': folder,
      ...(transforms === undefined ? {} : { transforms }),
    });
    await writeRunConfig(config, hash);
    return { config, hash };
  };
  const { config, hash } = await start('exact');
  assert.equal((await resolve({})).config.transforms, 'fast');
  await assert.rejects(start(), /another run \(transforms "exact" -> "fast"\)/);
  const { transforms: _, ...older } = config;
  writeFileSync(file, JSON.stringify({ hash: 'of other settings', config: older }));
  await assert.rejects(start('fast'), /another run \(transforms "exact" -> "fast"\)/);
  assert.equal((await start('exact')).hash, hash);
});

test('rows of a micro-batch are spread as evenly as can be, and fewer rows than workers are refused', async () => {
  const rowsOn = async (nprocPerNode: number, rows: number, flags: Record<string, unknown> = {}) => {
    const { config } = await resolvePretrainConfig({
      flags: { 'rows-per-micro-batch': rows, ...flags },
      launch: { numNodes: 1, nprocPerNode },
      cwd: '.',
    });
    return rowsOfRanks(config);
  };
  assert.deepEqual(await rowsOn(3, 8), [3, 3, 2]);
  assert.deepEqual(await rowsOn(5, 7), [2, 2, 1, 1, 1]);
  assert.deepEqual(await rowsOn(4, 4, { sampler: 'torch' }), [1, 1, 1, 1]);
  assert.equal(describeRows([3, 3, 2]), '2 x 3 + 1 x 2');
  assert.equal(describeRows([4, 4]), '2 x 4');
  await assert.rejects(rowsOn(5, 4), /4 rows per micro-batch are too few for 5 workers.*start at most 4 workers/);
  await assert.rejects(rowsOn(3, 8, { sampler: 'torch' }), /--sampler torch .* 8 rows .* cannot be divided among 3/);
});

test('a run keeps its rows on other ranks, unless rows are given; a folder from before rows were written goes on', async (context) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'slip-rows-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const file = path.join(folder, 'config.json');
  const start = async (nprocPerNode: number, flags: Record<string, unknown>) => {
    const launch = { numNodes: 1, nprocPerNode };
    const resolved = await resolvePretrainConfig({ flags: { 'output-dir': folder, ...flags }, launch, cwd: '.' });
    const { config, hash } = await continueRun(resolved);
    await writeRunConfig(config, hash);
    return config.rowsPerMicroBatch;
  };
  assert.equal(await start(4, { 'batch-size': 2 }), 8);
  await assert.rejects(start(3, { 'batch-size': 2, 'rows-per-micro-batch': 6 }), /rowsPerMicroBatch 8 -> 6/);
  await assert.rejects(start(3, { 'batch-size': 5 }), /8 -> 15\); .* with --rows-per-micro-batch 8, to continue it/);

  const { rowsPerMicroBatch: _, ...before } = JSON.parse(readFileSync(file, 'utf8')).config;
  for (const ranks of [4, 3]) {
    writeFileSync(file, JSON.stringify({ hash: 'of that time', config: before }));
    assert.equal(await start(ranks, { 'batch-size': 2 }), 8);
  }
  writeFileSync(file, JSON.stringify({ hash: 'of that time', config: before }));
  await assert.rejects(start(4, { 'batch-size': 2, seed: 1 }), /another run \(seed 0 -> 1\)/);
});

test('precision is chosen by the device that is named, and fp32 while that is left open', async () => {
  const chosen = async (flags: Record<string, unknown>) => {
    const { config, notices } = await resolve(flags);
    return [config.precision, ...notices.filter((line) => line.startsWith('precision'))];
  };
  assert.deepEqual(await chosen({ device: 'cuda' }), ['fp16', 'precision fp16: fastest on cuda (--precision fp32)']);
  assert.deepEqual(await chosen({ device: 'cuda', 'disable-amp': true }), ['fp32']);
  const [open, notice] = await chosen({ device: 'auto' });
  assert.equal(open, 'fp32');
  assert.match(notice, /what --device auto finds is not known yet/);
  for (const device of ['cpu', 'webgpu', 'tensorflow']) assert.equal((await chosen({ device }))[0], 'fp32');
});
