// The tasks that use a model and train nothing, and bench-comm, submitted to a real cluster: each ends, and leaves what slip-launch leaves here.
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { launch, root, temporaryFolder } from '../pretrain/launch-runs.js';
import { processesWith, skipWithoutSlurm, startCluster } from './cluster.js';
import { eventsOf, jobOutput, type Submitted, submitJob } from './submit-runs.js';

const golden = path.join(root, 'test/golden');
const embedGolden = JSON.parse(readFileSync(path.join(golden, 'embed.json'), 'utf8'));
const embedModel = [
  ...['--resume', path.join(golden, 'torch/embed.pt'), '--vision-heads', '2', '--text-heads', '2'],
  ...['--threads', '1'],
];
const zeroShotModel = [
  ...['--resume', path.join(golden, 'zeroshot/clip-tiny.pt'), '--vision-heads', '2', '--text-heads', '1'],
  ...['--threads', '1', '--batch-size', '4'],
];

/** Pictures, texts, captions and sets of the golden files. */
function makePlace(folder: string) {
  const images = path.join(folder, 'images');
  for (const [name, base64] of Object.entries(embedGolden.pictures as Record<string, string>)) {
    mkdirSync(path.dirname(path.join(images, name)), { recursive: true });
    writeFileSync(path.join(images, name), Buffer.from(base64, 'base64'));
  }
  const texts = path.join(folder, 'texts.txt');
  writeFileSync(texts, `${embedGolden.texts.join('\n')}\n`);
  const captions = path.join(folder, 'captions.json');
  const files = embedGolden.names as string[];
  writeFileSync(
    captions,
    JSON.stringify({
      images: files.map((file_name, id) => ({ id, file_name })),
      annotations: files.flatMap((name, image_id) =>
        ['a picture of', 'a drawing of'].map((text, k) => ({
          id: 2 * image_id + k,
          image_id,
          caption: `${text} ${name}`,
        })),
      ),
    }),
  );
  const sets = path.join(folder, 'sets');
  for (const name of ['cifar10', 'mnist', 'hateful_memes'])
    cpSync(path.join(golden, 'zeroshot/sets', name), path.join(sets, name), { recursive: true });
  return { images, texts, captions, sets };
}

interface Case {
  readonly flags: readonly string[];
  readonly nodes: number;
  readonly via: 'sbatch' | 'rest';
  /** Compared with a run of slip-launch on this machine, byte by byte or without what depends on the clock. */
  readonly files: readonly string[];
  /** In the job's output or its ranks' logs. */
  readonly prints: RegExp;
}

test('zeroshot, embed, retrieve, predict, recall and bench-comm as jobs', {
  skip: skipWithoutSlurm(),
}, async (context) => {
  const folder = temporaryFolder(context);
  const { images, texts, captions, sets } = makePlace(folder);
  const at = (where: string, task: string) => path.join(folder, where, task);
  const cases: Readonly<Record<string, (where: string) => Case>> = {
    zeroshot: () => ({
      flags: ['zeroshot', ...zeroShotModel, '--root', sets],
      ...{ nodes: 2, via: 'sbatch', files: ['zeroshot.json', 'zeroshot.md'] },
      prints: /^zeroshot \* mean [\d.]+ over 3 sets: cifar10 /m,
    }),
    embed: () => ({
      flags: ['embed', ...embedModel, '--images', images, '--texts', texts, '--batch-size', '2'],
      ...{ nodes: 2, via: 'rest', files: ['image_features.npy', 'text_features.npy', 'images.txt', 'texts.txt'] },
      prints: /embed \* 3 images and 4 texts of width 6 in /,
    }),
    retrieve: (where) => ({
      flags: [
        ...['retrieve', '--embedded', at(where, 'embed'), '--query', 'a dog', '--query', 'a cat', '--threads', '1'],
        ...['--vision-heads', '2', '--text-heads', '2'],
      ],
      ...{ nodes: 1, via: 'sbatch', files: ['retrieval.json'] },
      prints: /retrieve \* 2 queries over 3 images and 4 texts/,
    }),
    predict: () => ({
      flags: [
        'predict',
        path.join(images, 'a.png'),
        path.join(images, 'b.png'),
        ...embedModel,
        '--labels',
        'a dog, a cat',
      ],
      ...{ nodes: 1, via: 'rest', files: [] },
      prints: /b\.png\n.*[\d.]+ % {2}a (dog|cat)\n/,
    }),
    recall: () => ({
      flags: ['recall', ...embedModel, '--images', images, '--captions', captions, '--captions-per-image', '2'],
      ...{ nodes: 2, via: 'sbatch', files: ['recall.json'] },
      prints: /recall \* image to text R@1 [\d.]+ .*\(3 images, 6 captions\)/,
    }),
    'bench-comm': () => ({
      flags: ['bench-comm', '--sizes', '64K', '--iterations', '3'],
      ...{ nodes: 2, via: 'rest', files: [] },
      prints: /^\s+64K +65536 .* 0$/m,
    }),
  };

  const cluster = await startCluster(context, '--nodes', '2', '--gpus', '2', '--cpus', '4');
  const jobs = new Map<string, Submitted>();
  for (const [task, of] of Object.entries(cases)) {
    const { flags, nodes, via } = of('jobs');
    const job = await submitJob(cluster, [
      ...['--nodes', String(nodes), '--ngpus', nodes === 1 ? '1' : '2', '--cpus-per-task', '1', '--timeout', '30'],
      ...['--gpu-request', 'gres', '--via', via, '--job_dir', at('jobs', task)],
      // It reads what the other leaves.
      ...(task === 'retrieve' ? ['--dependency', `afterok:${jobs.get('embed')!.jobId}`] : []),
      ...flags,
    ]);
    jobs.set(task, job);
  }
  for (const [task, of] of Object.entries(cases)) {
    const job = jobs.get(task)!;
    await context.test(task, async () => {
      await cluster.untilState(job.jobId, ['COMPLETED', 'FAILED', 'CANCELLED'], 1200);
      assert.equal(await cluster.jobField(job.jobId, 'JobState'), 'COMPLETED', jobOutput(job));
      const { nodes, via, files, prints } = of('jobs');
      assert.deepEqual([job.via, await cluster.jobField(job.jobId, 'JobName')], [via, task]);
      const events = eventsOf(job.runFolder);
      const started = events.find(({ event }) => event === 'started');
      assert.deepEqual([started?.numNodes, started?.worldSize], [nodes, nodes === 1 ? 1 : 4]);
      assert.equal(events.at(-1)?.event, 'completed');
      assert.match(jobOutput(job), prints);
      assert.deepEqual(processesWith(`SLURM_JOB_ID=${job.jobId}`), []);
      if (files.length === 0) return;
      const here = await launch([...of('here').flags, '--output-dir', at('here', task)]);
      assert.equal(here.code, 0, here.output);
      for (const file of files)
        assert.deepEqual(
          readResult(path.join(job.runFolder, file)),
          readResult(path.join(at('here', task), file)),
          file,
        );
    });
  }
});

/** Without seconds, and the folders that differ. */
function readResult(file: string): string | Buffer {
  const bytes = readFileSync(file);
  if (!file.endsWith('.json')) return bytes;
  return bytes
    .toString()
    .replaceAll(/"seconds": [\d.]+/g, '')
    .replaceAll(/\/(jobs|here)\//g, '/');
}
