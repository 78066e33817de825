// `npm run bench -- [NAME ...] [--case TEXT] [--rounds N] [--json] [--write FILE.md]`: runs the named comparisons, all
// without a name, or those of their cases that contain the text.
import { parseArgs } from 'node:util';
import { writeFileAtomic } from '@slip/core';
import { glooBench, mpiBench } from './benches/all-reduce.js';
import { checkpointBench } from './benches/checkpoint.js';
import { dataLoadingBench } from './benches/data-loading.js';
import { gpuStepBench } from './benches/gpu-step.js';
import { hostsBench } from './benches/hosts.js';
import { optimizerStepBench, torchOptimizerStepBench } from './benches/optimizer-step.js';
import { startUpBench } from './benches/start-up.js';
import { trainStepBench } from './benches/train-step.js';
import { type Bench, type CaseResult, runBench } from './harness.js';
import { asMarkdown, asTable, machine } from './report.js';

const BENCHES: readonly Bench[] = [
  trainStepBench,
  gpuStepBench,
  optimizerStepBench,
  torchOptimizerStepBench,
  glooBench,
  mpiBench,
  hostsBench,
  checkpointBench,
  dataLoadingBench,
  startUpBench,
];

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      case: { type: 'string', default: '' },
      rounds: { type: 'string' },
      write: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    console.log('usage: npm run bench -- [NAME ...] [--case TEXT] [--rounds N] [--json] [--write FILE.md]\n');
    for (const bench of BENCHES) console.log(`  ${bench.name.padEnd(20)} ${bench.question}`);
    return;
  }
  const unknown = positionals.find((name) => !BENCHES.some((bench) => bench.name === name));
  if (unknown !== undefined) {
    throw new Error(`no bench is named ${unknown}; there are ${BENCHES.map((bench) => bench.name).join(', ')}`);
  }
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
  if (rounds !== undefined && !(Number.isInteger(rounds) && rounds > 0))
    throw new Error(`--rounds ${values.rounds} is not a positive integer`);
  const chosen = BENCHES.filter((bench) => positionals.length === 0 || positionals.includes(bench.name))
    .map((bench) => ({ ...bench, cases: bench.cases.filter(({ name }) => name.includes(values.case)) }))
    .filter(({ cases }) => cases.length > 0);
  if (chosen.length === 0) throw new Error(`no case of these benches has "${values.case}" in its name`);
  const results: CaseResult[] = [];
  for (const bench of chosen) {
    results.push(
      ...(await runBench(bench, { ...(rounds === undefined ? {} : { rounds }), say: (line) => console.error(line) })),
    );
  }
  if (results.length === 0) return;
  const date = new Date().toISOString().slice(0, 10);
  if (values.write !== undefined) await writeFileAtomic(values.write, asMarkdown(results, date));
  console.log(values.json ? JSON.stringify({ date, machine: machine(), results }, null, 1) : asTable(results));
}

main().catch((error: unknown) => {
  console.error((error as Error).message);
  process.exit(1);
});
