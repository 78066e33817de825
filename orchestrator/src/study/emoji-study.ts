// `npm run emoji-study`: CLIP, SimCLR and SLIP with one budget and several seeds on emoji, judged on an art style that none has seen.
// Runs what is not done yet, a few at a time, and writes the page after each.
import { mkdir, open, readFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { SlipError, writeFileAtomic } from '@slip/core';
import { runProgram } from '../cli/run-program.js';
import { studyPage, studyPlot } from './study-page.js';
import { type StudyStep, studyChains } from './study-plan.js';
import { figuresOf, readResults, type StudyResults, writeDone } from './study-results.js';

const HELP = `usage: npm run emoji-study -- [options] [-- flags of slip-launch for every run]

Trains CLIP, SimCLR and SLIP on three art styles of emoji, then classifies a fourth: zero-shot, by linear probes, fine-tuned.
The same command continues a study that was stopped.

  --output-dir DIR   run folders and study.json            [runs/emoji-study]
  --seeds 0,1,2      of initialisation, order, augmentation
  --jobs N           runs side by side                     [cores]
  --page FILE        the page; its plot is beside it       [docs/results/emoji.md]
`;

/** @param argv of the command line. @returns the exit code; errors for people are printed here */
export async function emojiStudy(argv: readonly string[]): Promise<number> {
  try {
    const settings = readSettings(argv);
    if (settings === undefined) {
      process.stdout.write(HELP);
      return 0;
    }
    return await study(settings, argv);
  } catch (thrown) {
    const error = SlipError.from(thrown);
    process.stderr.write(`slip-emoji-study: ${error.toString()}\n`);
    return error.exitCode;
  }
}

interface StudySettings {
  readonly folder: string;
  readonly seeds: readonly number[];
  readonly jobs: number;
  readonly page: string;
  readonly extra: readonly string[];
}

/** @returns undefined where help is wanted */
export function readSettings(argv: readonly string[]): StudySettings | undefined {
  const cut = argv.indexOf('--');
  const own = cut < 0 ? argv : argv.slice(0, cut);
  const text = (value: string) => ({ type: 'string', default: value }) as const;
  const options = {
    'output-dir': text('runs/emoji-study'),
    seeds: text('0,1,2'),
    jobs: text(String(os.availableParallelism())),
    page: text('docs/results/emoji.md'),
    help: { type: 'boolean', short: 'h', default: false },
  } as const;
  let values: ReturnType<typeof parse>;
  const parse = () => parseArgs({ args: [...own], options }).values;
  try {
    values = parse();
  } catch (error) {
    throw new SlipError('config', (error as Error).message);
  }
  if (values.help) return undefined;
  return {
    folder: values['output-dir'],
    seeds: values.seeds.split(',').map((seed) => wholeNumber('--seeds', seed, 0)),
    jobs: wholeNumber('--jobs', values.jobs, 1),
    page: values.page,
    extra: cut < 0 ? [] : argv.slice(cut + 1),
  };
}

function wholeNumber(flag: string, text: string, min: number): number {
  if (/^\d+$/.test(text) && Number(text) >= min) return Number(text);
  throw new SlipError('config', `${flag} ${text} is not a whole number of at least ${min}`);
}

async function study(settings: StudySettings, argv: readonly string[]): Promise<number> {
  const prepared = await runProgram('slip-data', ['make-emoji', '--output', '.data/emoji']);
  if (prepared !== 0) return prepared;
  const { folder, seeds, jobs, extra } = settings;
  const chains = studyChains(folder, seeds, extra);
  const steps = chains.flat();
  await mkdir(path.join(folder, 'logs'), { recursive: true });
  let results = await readResults(folder, steps);
  let failed = 0;
  // One after another: each reads the file before it writes it.
  let noting = Promise.resolve();
  const command = ['npm run emoji-study', ...(argv.length > 0 ? ['--', ...argv] : [])].join(' ');
  const write = () => writePage(settings, steps, results, command);

  const runChain = async (chain: readonly StudyStep[]): Promise<void> => {
    for (const step of chain) {
      if (results[step.key] !== undefined) continue;
      if (failed !== 0) return;
      const code = await runStep(folder, step);
      if (code !== 0) {
        failed ||= code;
        return;
      }
      const figures = await figuresOf(step);
      results = { ...results, [step.key]: figures };
      noting = noting.then(() => writeDone(folder, step));
      await noting;
      const accuracy = figures.acc1 === undefined ? '' : `top-1 ${figures.acc1.toFixed(1)} %; `;
      const done = steps.filter(({ key }) => results[key] !== undefined).length;
      process.stdout.write(`${step.key}: ${accuracy}${done} of ${steps.length} done\n`);
    }
  };
  const waiting = [...chains];
  const worker = async () => {
    for (let chain = waiting.shift(); chain !== undefined; chain = waiting.shift()) await runChain(chain);
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  await write();
  process.stdout.write(`page ${settings.page}\n`);
  if (failed === 75) process.stderr.write('stopped; the same command continues\n');
  return failed;
}

/** @returns its exit code; what it says is in its log */
async function runStep(folder: string, step: StudyStep): Promise<number> {
  const log = path.join(folder, 'logs', `${step.key}.log`);
  const handle = await open(log, 'a');
  const code = await runProgram('slip-launch', step.args, handle.fd).finally(() => handle.close());
  if (code !== 0 && code !== 75) process.stderr.write(`${step.key} ended with exit code ${code}; see ${log}\n`);
  return code;
}

async function writePage(
  { page }: StudySettings,
  steps: readonly StudyStep[],
  results: StudyResults,
  command: string,
): Promise<void> {
  const made = JSON.parse(await readFile('.data/emoji/made.json', 'utf8')) as {
    summary: { heldOut: number; classes: number; largestClass: number };
  };
  const { heldOut: images, classes, largestClass } = made.summary;
  const plot = page.replace(/(\.md)?$/, '.svg');
  await mkdir(path.dirname(page), { recursive: true });
  await writeFileAtomic(plot, studyPlot(steps, results, 100 / classes));
  const facts = {
    date: new Date().toISOString().slice(0, 10),
    machine: `${os.cpus()[0]?.model.trim() ?? 'unknown processor'}, ${os.availableParallelism()} cores, Node ${process.version}`,
    command,
    plot: path.basename(plot),
    heldOut: { images, classes, largestClass },
  };
  await writeFileAtomic(page, studyPage(steps, results, facts));
}
