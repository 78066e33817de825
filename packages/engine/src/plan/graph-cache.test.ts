// The cache of compiled graphs: the same bits as without it, and nothing that is wrong with its folder is worse than a cold start.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { allReduceSum } from '../collectives.js';
import { createOnnxExecutor, type OnnxExecutorOptions } from '../execute/onnx-executor.js';
import { embedding } from '../ops/embedding.js';
import { gelu } from '../ops/gelu.js';
import { linear } from '../ops/linear.js';
import type { StepDefinition } from '../step.js';
import { testStep, testValues } from '../testing/compare-backends.js';
import { tf } from '../tfjs.js';
import { planKey } from './cached-plan.js';
import { openGraphCache } from './graph-cache.js';

const INPUTS = { x: { shape: [4, 8] }, w: { shape: [8, 8] }, table: { shape: [6, 8] } };
const SUM_OF_ONE = {
  allGather: () => Promise.reject(new Error('not used')),
  reduceScatter: () => Promise.reject(new Error('not used')),
  allReduce: async () => {},
};

/** Has a collective, work of the host (the gradient of a lookup) and a constant. */
function step(scale: number, identity = `scale ${scale}`): StepDefinition {
  const definition = testStep(INPUTS, ({ x, w, table }) => {
    const bias = tf.zeros([8]);
    const ids = tf.tensor2d([[0, 2, 2, 5]], [1, 4], 'int32');
    const { value, grads } = tf.valueAndGrads((weights: tf.Tensor, rows: tf.Tensor) => {
      const looked = tf.reshape(embedding(rows, ids), [4, 8]);
      return tf.mul(tf.mean(tf.square(allReduceSum(gelu(linear(tf.add(x!, looked), weights, bias))))), scale);
    })([w!, table!]);
    return { value, dw: grads[0]!, dtable: grads[1]! };
  });
  return { ...definition, identity: () => identity };
}

interface Result {
  readonly fromCache: boolean;
  readonly bits: string;
  readonly stats: object;
}

async function run(definition: StepDefinition, options: Partial<OnnxExecutorOptions>): Promise<Result> {
  const executor = await createOnnxExecutor(definition, {
    ...{ rank: 0, worldSize: 2, threads: 1, collectives: SUM_OF_ONE },
    ...options,
  });
  for (const [stream, [name, input]] of Object.entries(INPUTS).entries())
    executor.input(name).set(testValues(input, stream));
  await executor.run();
  const bits = ['value', 'dw', 'dtable'].map((name) =>
    Buffer.from(executor.output(name).slice().buffer).toString('hex'),
  );
  const { nodes, segments, collectives, crossingBytes, activationBytes, fromCache } = executor.stats;
  await executor.close();
  return { fromCache, bits: bits.join(), stats: { nodes, segments, collectives, crossingBytes, activationBytes } };
}

function emptyFolder(context: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'slip-graphs-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test('a step from the cache has the bits and the numbers of one that was traced', async (context) => {
  const folder = path.join(emptyFolder(context), 'made', 'when written');
  const cached = { graphCache: openGraphCache({ folder }) };
  const without = await run(step(2), {});
  const first = await run(step(2), cached);
  const second = await run(step(2), cached);
  assert.deepEqual([without.fromCache, first.fromCache, second.fromCache], [false, false, true]);
  for (const { bits, stats } of [first, second])
    assert.deepEqual({ bits, stats }, { bits: without.bits, stats: without.stats });
  assert.equal(readdirSync(folder).length, 1, 'one file, and nothing beside it');
});

test('whatever decides the graph decides the key', () => {
  const base = { rank: 0, worldSize: 2 };
  const keys = [
    planKey(step(2), base),
    planKey(step(3), base),
    planKey({ ...step(2), name: 'other' }, base),
    planKey({ ...step(2), inputs: step(2).inputs.slice(1) }, base),
    planKey(step(2), { ...base, rank: 1 }),
    planKey(step(2), { ...base, worldSize: 3 }),
    planKey(step(2), { ...base, rows: [4, 3] }),
    planKey(step(2), { ...base, half: 'bfloat16' }),
    planKey(step(2), { ...base, recomputation: 'blocks' }),
    planKey(step(2), { ...base, provider: 'cuda' }),
    planKey(step(2), { ...base, milestones: () => [] }),
  ];
  assert.equal(new Set(keys).size, keys.length);
  assert.equal(planKey(step(2), base), keys[0]);
  const { identity: _, ...anonymous } = step(2);
  assert.equal(planKey(anonymous, base), undefined, 'what cannot be told apart is not kept');
});

test('a step whose groups of early outputs have changed is traced again', async (context) => {
  const graphCache = openGraphCache({ folder: emptyFolder(context) });
  const withGroups = (groups: string[][]) => run(step(2), { graphCache, milestones: () => groups });
  const results = [await withGroups([['dw']]), await withGroups([['dw']]), await withGroups([['dtable', 'dw']])];
  assert.deepEqual(
    results.map(({ fromCache }) => fromCache),
    [false, true, false],
  );
  assert.equal(new Set(results.map(({ bits }) => bits)).size, 1);
});

test('damaged files are found out and replaced', async (context) => {
  const folder = emptyFolder(context);
  const cached = { graphCache: openGraphCache({ folder }) };
  const { bits } = await run(step(2), cached);
  const file = path.join(folder, readdirSync(folder)[0]!);
  const whole = readFileSync(file);
  const flipped = Buffer.from(whole);
  flipped[whole.length - 7]! ^= 1;
  for (const damaged of [whole.subarray(0, whole.length - 1), whole.subarray(0, 20), Buffer.alloc(0), flipped]) {
    writeFileSync(file, damaged);
    const again = await run(step(2), cached);
    assert.deepEqual([again.fromCache, again.bits], [false, bits]);
    assert.deepEqual(readFileSync(file), whole);
  }
});

test('a folder that cannot be made or written to costs time only', async (context) => {
  const folder = emptyFolder(context);
  writeFileSync(path.join(folder, 'file'), '');
  const { bits } = await run(step(2), {});
  for (const place of ['file', 'file/below']) {
    const result = await run(step(2), { graphCache: openGraphCache({ folder: path.resolve(folder, place) }) });
    assert.deepEqual([result.fromCache, result.bits], [false, bits]);
  }
  // Files that are there are still read. Root may write anywhere.
  await run(step(2), { graphCache: openGraphCache({ folder: path.join(folder, 'kept') }) });
  chmodSync(path.join(folder, 'kept'), 0o555);
  assert.ok((await run(step(2), { graphCache: openGraphCache({ folder: path.join(folder, 'kept') }) })).fromCache);
});

test('several writers at once leave one whole file', async (context) => {
  const folder = emptyFolder(context);
  const results = await Promise.all(
    Array.from({ length: 4 }, () => run(step(2), { graphCache: openGraphCache({ folder }) })),
  );
  assert.equal(new Set(results.map(({ bits }) => bits)).size, 1);
  assert.deepEqual(
    readdirSync(folder).map((name) => path.extname(name)),
    ['.graph'],
  );
  assert.ok((await run(step(2), { graphCache: openGraphCache({ folder }) })).fromCache);
});

test('what was not used for longest makes room, and so does what a killed writer left', async (context) => {
  const folder = emptyFolder(context);
  const scales = [1, 2, 3];
  await run(step(1), { graphCache: openGraphCache({ folder }) });
  const [first] = readdirSync(folder);
  const size = readFileSync(path.join(folder, first!)).length;
  const graphCache = openGraphCache({ folder, maxBytes: 2.5 * size });
  await run(step(2), { graphCache });
  const second = readdirSync(folder).find((name) => name !== first)!;
  for (const [i, name] of [second, first!].entries()) utimesSync(path.join(folder, name), 1000 + i, 1000 + i);
  writeFileSync(path.join(folder, '.abc.1.tmp'), 'half');
  utimesSync(path.join(folder, '.abc.1.tmp'), 1000, 1000);
  await run(step(3), { graphCache });
  assert.deepEqual([existsSync(path.join(folder, second)), existsSync(path.join(folder, first!))], [false, true]);
  assert.equal(readdirSync(folder).length, scales.length - 1);
});

test('a process that finds its graph loads no tfjs', async (context) => {
  const folder = emptyFolder(context);
  const program = `
    import { createOnnxExecutor, openGraphCache, tf } from ${JSON.stringify(new URL('../index.js', import.meta.url).href)};
    import { createRequire } from 'node:module';
    const { stats } = await createOnnxExecutor(
      { name: 's', identity: () => 's', inputs: [{ name: 'x', shape: [2], dtype: 'float32' }], fn: ({ x }) => ({ y: tf.neg(x) }) },
      { rank: 0, worldSize: 1, threads: 1, graphCache: openGraphCache({ folder: ${JSON.stringify(folder)} }) },
    );
    const loaded = Object.keys(createRequire(import.meta.url).cache).some((file) => file.endsWith('tf.node.js'));
    console.log(stats.fromCache, loaded);
  `;
  const output = () =>
    spawnSync(
      process.execPath,
      ['--input-type=module', '-e', program.replaceAll('import.meta.url', `'${import.meta.url}'`)],
      {
        encoding: 'utf8',
      },
    ).stdout;
  assert.deepEqual([output(), output()], ['false true\n', 'true false\n']);
});
