// Linear probing and fine-tuning: the original's defaults, recipes and command lines, learning rates, identity, and messages.
import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';
import { checkpointBytes } from './checkpoint-bytes.js';
import { commandLineOf } from './command-line.js';
import { describeClassifier } from './describe-classifier.js';
import { type FinetuneConfig, finetuneSizes, mixes, resolveFinetuneConfig } from './finetune-config.js';
import { configKey, FINETUNE_FLAGS, LINEAR_FLAGS } from './flags.js';
import { initialLr, resolveLinearConfig } from './linear-config.js';

const cwd = path.resolve(import.meta.dirname, '../../..');
const eight = { numNodes: 1, nprocPerNode: 8 };
const place = { 'data-path': '/data/imagenet' };
const linear = (flags: Record<string, unknown> = {}, launch = eight, recipe?: string) =>
  resolveLinearConfig({
    ...{ flags: { pretrained: 'slip_base_100ep', ...place, ...flags }, launch, cwd },
    ...(recipe === undefined ? {} : { recipe }),
  });
const finetune = (flags: Record<string, unknown> = {}, launch = eight, recipe?: string) =>
  resolveFinetuneConfig({ flags: { ...place, ...flags }, launch, cwd, ...(recipe === undefined ? {} : { recipe }) });

test("defaults of linear probing are the original's, and every flag with a default has a key", async () => {
  const { config } = await linear();
  const { dataset, epochs, batchSize, lr, momentum, wd, evalFreq, lrRule } = config;
  assert.deepEqual(
    [dataset, epochs, batchSize, lr, momentum, wd, evalFreq, lrRule],
    ['imagenet', 90, 128, 0.1, 0.9, 0, 10, 'published'],
  );
  for (const flags of [LINEAR_FLAGS, FINETUNE_FLAGS])
    assert.equal(new Set(flags.map(({ name }) => name)).size, flags.length, 'no name twice');
  for (const { name, default: usual } of LINEAR_FLAGS)
    if (usual !== undefined) assert.ok(configKey(name) in config, name);
});

test('the first learning rate by each rule: the published one does not depend on the number of ranks', async () => {
  const rates = async (nprocPerNode: number, flags: Record<string, unknown>) =>
    initialLr((await linear(flags, { numNodes: 1, nprocPerNode })).config);
  assert.equal(await rates(8, {}), 0.00625);
  assert.equal(await rates(16, { 'batch-size': 64 }), 0.00625);
  assert.equal(await rates(1, { 'batch-size': 1024 }), 0.00625);
  assert.equal(await rates(4, { 'update-freq': 2 }), 0.00625);
  // The original's own formula: 8, 16 and 1 GPUs.
  const reference = { 'lr-rule': 'reference' };
  assert.deepEqual(
    [await rates(8, reference), await rates(16, reference), await rates(1, reference)],
    [0.00625, 0.003125, 0.05],
  );
  assert.equal(await rates(8, { 'lr-rule': 'total-batch' }), 0.4);
});

test('the published command lines of fine-tuning are taken as they are, and are the recipes', async () => {
  const common =
    '--batch_size 128 --enable_deepspeed --nb_classes 1000 --imagenet_default_mean_and_std --model_key state_dict ' +
    '--model_prefix module.visual. --disable_rel_pos_bias --abs_pos_emb --use_cls --mixup 0.8 --cutmix 1 ' +
    '--layer_scale_init_value 0 --lr 4e-3';
  const sizes = {
    s: '--model beit_small_patch16_224 --epochs 100 --warmup_epochs 20 --drop_path 0 --layer_decay 0.65',
    b: '--model beit_base_patch16_224 --epochs 100 --warmup_epochs 20 --drop_path 0.1 --layer_decay 0.65',
    l: '--model beit_large_patch16_224 --epochs 50 --warmup_epochs 5 --drop_path 0.1 --layer_decay 0.75',
  };
  for (const [size, own] of Object.entries(sizes)) {
    const words = `${common} ${own}`.split('--').slice(1);
    const flags = Object.fromEntries(
      words.map((text) => {
        const [name, value] = text.trim().split(' ');
        return [name, value ?? true];
      }),
    );
    const typed = await finetune(flags);
    const recipe = await finetune({}, eight, `finetune_vit${size}16`);
    assert.equal(typed.hash, recipe.hash, size);
    assert.deepEqual(typed.warnings, []);
    const { config } = recipe;
    assert.deepEqual(
      [config.weightDecay, config.optEps, config.smoothing, config.aa, config.reprob, config.minLr, config.modelEma],
      [0.05, 1e-8, 0.1, 'rand-m9-mstd0.5-inc1', 0.25, 1e-6, false],
    );
    assert.deepEqual([config.mixupGroup, config.rowsPerMicroBatch, mixes(config)], [128, 1024, true]);
  }
  const { config } = await finetune({}, eight, 'finetune_vitl16');
  assert.deepEqual(finetuneSizes(config), { inputSize: 224, patchSize: 16, width: 1024, depth: 24, heads: 16 });
  // Parameters of reference 1.1, with both moments of AdamW.
  assert.equal(checkpointBytes(config), 304_326_632 * 12);
  const text = describeClassifier(config, 1_281_167);
  assert.match(text, /1,251 per epoch, 62,550 in all \(50 epochs\)/);
  assert.match(text, /0 -> 0.004 in 6,255 steps of warm-up/);
});

test('the recipe of linear probing is the published one', async () => {
  const { config, warnings } = await linear({}, eight, 'linear_imagenet');
  assert.deepEqual(warnings, []);
  assert.deepEqual([initialLr(config), config.epochs, config.rowsPerMicroBatch], [0.00625, 90, 1024]);
  assert.match(describeClassifier(config, 1_281_167), /1,252 per epoch/, 'the last micro-batch of 143 rows is kept');
});

test('a configuration as flags gives it again; tasks are different runs', async () => {
  const { config, hash } = await finetune({ mixup: 0.8, 'cutmix-minmax': [0.2, 0.8], augment: true, 'clip-grad': 1 });
  const flags = Object.fromEntries(
    commandLineOf(config).map((text) => {
      const [, name, value] = /^--([^=]+)(?:=(.*))?$/s.exec(text)!;
      return [name, name === 'cutmix-minmax' ? value!.split(',') : (value ?? true)];
    }),
  );
  assert.equal((await finetune(flags)).hash, hash);
  assert.ok(commandLineOf((await finetune({ augment: false })).config).includes('--augment=false'));
  assert.notEqual((await finetune({ seed: 1 })).hash, (await finetune()).hash);
  assert.equal((await finetune({ 'data-path': '/elsewhere' })).hash, (await finetune()).hash);
});

test('mistakes name the flag and what to do', async () => {
  const cases: [Promise<unknown>, RegExp][] = [
    [linear({ pretrained: '' }), /--pretrained is missing/],
    [linear({ 'data-path': '' }), /neither --catalog nor --root nor --data-path is given/],
    [linear({ 'lr-rule': 'moco' }), /one of published, reference, total-batch/],
    [linear({ compress: 'powersgd' }), /--compress powersgd is for pre-training/],
    [finetune({ model: 'beit_base_patch16' }), /did you mean beit_base_patch16_224\?/],
    [finetune({ drop: 0.1 }), /--drop 0.1: dropout is not there/],
    [finetune({ opt: 'sgd' }), /one of adamw/],
    [finetune({ mixup: 0.8, 'batch-size': 9 }), /--mixup-group 9: 72 rows .* even number of rows/],
    [finetune({ 'data-set': 'image_folder' }), /needs --eval-data-path/],
    [finetune({ 'input-size': 30 }), /--input-size 30 is not a multiple of --patch-size 16/],
    [finetune({ 'warmup-epochs': 40 }), /--warmup-epochs 40 is longer than --epochs 30/],
  ];
  for (const [result, message] of cases) await assert.rejects(result, { message });
  const { warnings } = await finetune({ 'mixup-prob': 0.5, 'color-jitter': 0.3 });
  assert.deepEqual(warnings, [
    '--mixup-prob has no effect without mixing',
    '--color-jitter has no effect with --aa, as in the original',
  ]);
  const evaluatedOnce: FinetuneConfig = (await finetune({ 'disable-eval-during-finetuning': true })).config;
  assert.equal(evaluatedOnce.evalFreq, evaluatedOnce.epochs);
});

test('halves are taken when asked for, and unasked by pre-training alone', async () => {
  const { config, notices } = await finetune({ precision: 'fp16', device: 'cuda' });
  assert.deepEqual([config.precision, notices], ['fp16', []]);
  assert.equal((await linear({ precision: 'fp16' })).config.precision, 'fp16');
  const unasked = await finetune({ device: 'cuda' });
  assert.equal(unasked.config.precision, 'fp32');
  assert.deepEqual(unasked.notices, ['precision fp32: --precision fp16 may be faster on cuda']);
  const { warnings } = await linear({ precision: 'fp16', solver: 'lbfgs' });
  assert.deepEqual(warnings, ['--precision has no effect with --solver lbfgs']);
});
