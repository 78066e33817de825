// `npm run quickstart`: makes the emoji set if needed, trains the quickstart recipe on two workers, says what came of it.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { SlipError } from '@slip/core';
import { runProgram } from '../cli/run-program.js';

/** @param argv passed on to slip-launch after the recipe. @returns the exit code; errors for people are printed here */
export async function quickstart(argv: readonly string[]): Promise<number> {
  try {
    return await prepareAndTrain(argv);
  } catch (thrown) {
    const error = SlipError.from(thrown);
    process.stderr.write(`slip-quickstart: ${error.toString()}\n`);
    return error.exitCode;
  }
}

/** The run folder that slip-launch will use, by its own spellings of the flag; the last one given counts. */
export function runFolderOf(argv: readonly string[]): string {
  let folder = 'runs/quickstart';
  for (const [i, argument] of argv.entries()) {
    const [, attached] = /^--output[-_]dir(?:=(.*))?$/.exec(argument) ?? ['', null];
    if (attached !== null) folder = attached ?? argv[i + 1] ?? folder;
  }
  return path.resolve(folder);
}

async function prepareAndTrain(argv: readonly string[]): Promise<number> {
  const prepared = await runProgram('slip-data', ['make-emoji', '--output', '.data/emoji']);
  if (prepared !== 0) return prepared;
  const trained = await runProgram('slip-launch', ['--nproc', '2', '--recipe', 'quickstart', ...argv]);
  if (trained !== 0) {
    process.stderr.write(
      trained === 75 ? 'stopped; npm run quickstart continues\n' : 'the training did not finish; see the lines above\n',
    );
    return trained;
  }
  // These only print something: there is no run to report.
  if (argv.some((argument) => /^(--dry[-_]run|--help|-h|--version)$/.test(argument))) return 0;
  const folder = runFolderOf(argv);
  const figures = await readFigures(path.join(folder, 'evaluation.json'));
  const percent = (value: number) => `${value.toFixed(1)} %`;
  process.stdout.write(
    `run folder ${folder}\nreport     ${path.join(folder, 'report.html')}\n` +
      `largest class ${percent(figures.largestClass)}, plain accuracy ${percent(figures.acc1)}\n` +
      `zero-shot top-1 ${percent(figures.meanRecall)} (chance ${percent(figures.chance)})\n`,
  );
  return 0;
}

type Figures = Record<'acc1' | 'meanRecall' | 'chance' | 'largestClass', number>;

async function readFigures(file: string): Promise<Figures> {
  try {
    return (JSON.parse(await readFile(file, 'utf8')) as { figures: Figures }).figures;
  } catch (cause) {
    throw new SlipError(
      'data',
      `${file} cannot be read though the run ended; was validation turned off by --val-dataset or --eval-freq?`,
      { cause },
    );
  }
}
