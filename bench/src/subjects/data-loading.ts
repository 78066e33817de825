// Our side of the data-loading bench: SLIP's three views and the captions of JPEG photographs, through the trainer's loader; prints
// one JSON line.
import path from 'node:path';
import { parseArgs } from 'node:util';
import { createTrainLoader, type Transforms } from '@slip/data';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    transforms: { type: 'string', default: 'fast' },
    'batch-size': { type: 'string', default: '32' },
    workers: { type: 'string', default: '2' },
    epochs: { type: 'string', default: '3' },
  },
});
const [root] = positionals;
const rows = Number(values['batch-size']);
const loader = await createTrainLoader({
  dataset: { dataset: 'coco', root, metadata: path.join(root, 'captions.json') },
  views: ['image', 'aug1', 'aug2', 'tokens'],
  imageSize: 224,
  contextLength: 77,
  rank: 0,
  rows: [rows],
  seed: 0,
  sampler: 'slip',
  truncate: 'keep-eot',
  transforms: values.transforms as Transforms,
  badSamples: 'fail',
  workers: Number(values.workers),
  prefetchBytes: 1e9,
  cacheBytes: 0,
});
// The first epoch starts threads and fills caches; compilers have done their work after it.
for (let i = 0; i < loader.batchesPerEpoch; i++) await loader.next();

const batches = loader.batchesPerEpoch * Number(values.epochs);
const cpuBefore = process.cpuUsage();
const startedAt = performance.now();
for (let i = 0; i < batches; i++) await loader.next();
const elapsedMs = performance.now() - startedAt;
const { user, system } = process.cpuUsage(cpuBefore);
await loader.close();
const count = batches * rows;
console.log(
  JSON.stringify({ imagesPerSecond: (1000 * count) / elapsedMs, cpuMsPerImage: (user + system) / 1000 / count }),
);
