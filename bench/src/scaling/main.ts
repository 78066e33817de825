// `npm run scaling -- [--models SLIP_VITB16,...] [--nodes 1,2,...] [--frames measured|plain] [--json] [--plot FILE.svg]`:
// time per step and efficiency of simulated clusters, as a table, JSON or a plot.
import { parseArgs } from 'node:util';
import { writeFileAtomic } from '@slip/core';
import { resolveModel } from '@slip/model/architecture';
import { clusterOf, type Frames, workloadOf } from './constants.js';
import { asPlot, asTable, type Curve } from './report.js';
import { type StepOptions, simulateStep } from './train-step.js';

const BUCKET_BYTES = 25 * 2 ** 20;
const VARIANTS: Readonly<Record<string, StepOptions>> = {
  'one after another': { overlap: false, bucketBytes: BUCKET_BYTES, wireBytes: 4 },
  'in buckets, hidden': { overlap: true, bucketBytes: BUCKET_BYTES, wireBytes: 4 },
  'hidden, as halves': { overlap: true, bucketBytes: BUCKET_BYTES, wireBytes: 2 },
};

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      models: { type: 'string', default: 'SLIP_VITB16,SLIP_VITL16' },
      nodes: { type: 'string', default: '1,2,4,8,16,32,64' },
      frames: { type: 'string', default: 'measured,plain' },
      json: { type: 'boolean', default: false },
      plot: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    console.log(
      'usage: npm run scaling -- [--models NAME,...] [--nodes N,...] [--frames measured,plain] [--json] [--plot FILE.svg]\n\n' +
        'Simulates training steps on nodes of 8 GPUs with links of 100 Gb/s; docs/scaling.md tells what is assumed.',
    );
    return;
  }
  const nodes = values.nodes.split(',').map(Number);
  const wrong = nodes.find((count) => !Number.isInteger(count) || count < 1 || count > 1024);
  if (wrong !== undefined) throw new Error(`--nodes ${values.nodes}: expected integers from 1 to 1024`);
  const frames = values.frames.split(',');
  const unknown = frames.find((name) => name !== 'measured' && name !== 'plain');
  if (unknown !== undefined) throw new Error(`--frames ${unknown}: expected measured or plain`);
  const curves: Curve[] = [];
  for (const name of values.models.split(',')) {
    const work = workloadOf(resolveModel(name));
    for (const kind of frames as Frames[]) {
      for (const [variant, options] of Object.entries(VARIANTS)) {
        const results = nodes.map((count) => simulateStep(clusterOf(count, kind), work, options));
        curves.push({ model: name, frames: kind, variant, computeSeconds: work.computeSeconds, results });
      }
    }
  }
  if (values.plot !== undefined) await writeFileAtomic(values.plot, asPlot(curves));
  console.log(values.json ? JSON.stringify(curves, null, 1) : asTable(curves));
}

main().catch((error: unknown) => {
  console.error((error as Error).message);
  process.exit(1);
});
