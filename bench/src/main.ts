// `npm run bench`: runs the named comparisons, or all of them within half an hour; see `--help`.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { writeFileAtomic } from '@slip/core';
import { type Baseline, compareWithBaseline, describeComparison, TOLERANCE, updateBaseline } from './baseline.js';
import { glooBench, mpiBench } from './benches/all-reduce.js';
import { checkpointBench } from './benches/checkpoint.js';
import { dataLoadingBench } from './benches/data-loading.js';
import { encodingBench } from './benches/encoding.js';
import { gpuStepBench } from './benches/gpu-step.js';
import { hostsBench } from './benches/hosts.js';
import { optimizerStepBench, torchOptimizerStepBench } from './benches/optimizer-step.js';
import { startUpBench } from './benches/start-up.js';
import { stepScalingBench } from './benches/step-scaling.js';
import { trainStepBench } from './benches/train-step.js';
import { type Bench, type Measured, runBenches } from './harness.js';
import { asJson, asMarkdown, asTable, machine } from './report.js';

const BENCHES: readonly Bench[] = [
  trainStepBench,
  stepScalingBench,
  encodingBench,
  dataLoadingBench,
  checkpointBench,
  optimizerStepBench,
  torchOptimizerStepBench,
  glooBench,
  mpiBench,
  hostsBench,
  startUpBench,
  gpuStepBench,
];

const BASELINE = path.join(import.meta.dirname, '../baseline.json');

const HELP = `usage: npm run bench -- [NAME ...] [options]

  --case TEXT       only cases with this in their name, large ones too, which are left out otherwise
  --rounds N        instead of what each bench wants (2 or 3)
  --minutes N       no round is begun after so long (30); every case gets a first round before one gets a second
  --write FILE.md   a page, and the same as JSON beside it; without a NAME docs/results/DATE-bench.md
  --json            JSON instead of the table
  --compare         with the stored ratios of bench/baseline.json; exit code 1 when one lost more than ${100 * TOLERANCE} %,
                    as when ours fails in a case
  --save-baseline   today's ratios become the stored ones of these cases

Peers: BENCH_PYTHON (/usr/bin/python3) has Debian's PyTorch, BENCH_NEWEST_PYTHON the newest.
`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      case: { type: 'string' },
      rounds: { type: 'string' },
      minutes: { type: 'string', default: '30' },
      write: { type: 'string' },
      compare: { type: 'boolean', default: false },
      'save-baseline': { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    for (const bench of BENCHES) console.log(`  ${bench.name.padEnd(20)} ${bench.question}`);
    return 0;
  }
  const rounds = positive('--rounds', values.rounds);
  if (rounds !== undefined && !Number.isInteger(rounds)) throw new Error(`--rounds ${rounds} is not a whole number`);
  const measured = await runBenches(chooseBenches(positionals, values.case), {
    ...(rounds === undefined ? {} : { rounds }),
    budgetMs: positive('--minutes', values.minutes)! * 60_000,
    say: (line) => console.error(line),
  });
  const failed = measured.failures.length > 0 ? 1 : 0;
  if (failed > 0) console.error(`ours failed in ${measured.failures.length} cases: ${measured.failures.join('; ')}`);
  if (measured.results.length === 0) return failed;
  const date = new Date().toISOString().slice(0, 10);
  console.log(values.json ? asJson(measured, date) : asTable(measured.results));
  const page = values.write ?? (positionals.length === 0 ? `docs/results/${date}-bench.md` : undefined);
  if (page !== undefined) await writePage(page, measured, date);
  return Math.max(failed, await followBaseline(measured, date, values));
}

function chooseBenches(names: readonly string[], text: string | undefined): Bench[] {
  const unknown = names.find((name) => !BENCHES.some((bench) => bench.name === name));
  if (unknown !== undefined) {
    throw new Error(`no bench is named ${unknown}; there are ${BENCHES.map(({ name }) => name).join(', ')}`);
  }
  const isChosen = ({ name, isLarge }: Bench['cases'][number]) =>
    text === undefined ? isLarge !== true : name.includes(text);
  const chosen = BENCHES.filter(({ name }) => names.length === 0 || names.includes(name))
    .map((bench) => ({ ...bench, cases: bench.cases.filter(isChosen) }))
    .filter(({ cases }) => cases.length > 0);
  if (chosen.length === 0) throw new Error(`no case of these benches has "${text}" in its name`);
  return chosen;
}

async function writePage(page: string, measured: Measured, date: string): Promise<void> {
  const json = `${page.replace(/\.md$/, '')}.json`;
  const command = ['npm run bench --', ...process.argv.slice(2).map(quote)].join(' ');
  await writeFileAtomic(page, asMarkdown(measured, date, command));
  await writeFileAtomic(json, asJson(measured, date));
  console.error(`written: ${page} and ${json}`);
}

/** @returns the exit code */
async function followBaseline(
  { results }: Measured,
  date: string,
  options: { readonly compare?: boolean; readonly 'save-baseline'?: boolean },
): Promise<number> {
  const baseline: Baseline = existsSync(BASELINE) ? JSON.parse(readFileSync(BASELINE, 'utf8')) : { ratios: {} };
  const lines = options.compare === true ? compareWithBaseline(results, baseline) : [];
  if (lines.length > 0) console.log(`\n${describeComparison(lines)}`);
  if (options['save-baseline'] === true) {
    const updated = updateBaseline(baseline, results, { date, machine: machine() });
    await writeFileAtomic(BASELINE, `${JSON.stringify(updated, null, 2)}\n`);
    console.error(`written: ${BASELINE}`);
  }
  return lines.some(({ verdict }) => verdict === 'behind') ? 1 : 0;
}

function positive(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!(value > 0)) throw new Error(`${flag} ${text} is not a positive number`);
  return value;
}

function quote(argument: string): string {
  return /^[\w./=-]+$/.test(argument) ? argument : `'${argument}'`;
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    console.error((error as Error).message);
    process.exitCode = 1;
  },
);
