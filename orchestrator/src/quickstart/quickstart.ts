// `npm run quickstart`: makes the emoji set if needed, trains the quickstart recipe on two workers, says what came of it.
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const bin = (name: string) => fileURLToPath(new URL(`../../bin/${name}.js`, import.meta.url));

/** @param argv passed on to slip-launch after the recipe. @returns the exit code */
export async function quickstart(argv: readonly string[]): Promise<number> {
  const prepared = await run(bin('slip-data'), ['make-emoji', '--output', '.data/emoji']);
  if (prepared !== 0) return prepared;
  const trained = await run(bin('slip-launch'), ['--nproc', '2', '--recipe', 'quickstart', ...argv]);
  if (trained !== 0) {
    process.stderr.write(
      trained === 75 ? 'stopped; npm run quickstart continues\n' : 'the training did not finish; see the lines above\n',
    );
    return trained;
  }
  const given = argv.findIndex((argument) => argument === '--output-dir' || argument === '--output_dir');
  const folder = path.resolve(given >= 0 ? argv[given + 1] : 'runs/quickstart');
  const { figures } = JSON.parse(await readFile(path.join(folder, 'evaluation.json'), 'utf8')) as {
    figures: Record<'acc1' | 'meanRecall' | 'chance' | 'largestClass', number>;
  };
  const percent = (value: number) => `${value.toFixed(1)} %`;
  process.stdout.write(
    `run folder ${folder}\nreport     ${path.join(folder, 'report.html')}\n` +
      `largest class ${percent(figures.largestClass)}, plain accuracy ${percent(figures.acc1)}\n` +
      `zero-shot top-1 ${percent(figures.meanRecall)} (chance ${percent(figures.chance)})\n`,
  );
  return 0;
}

function run(program: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...args], { stdio: 'inherit' });
    // The terminal signals the whole group; others are passed on, and the child decides when it has ended.
    const forward = (signal: NodeJS.Signals) => child.kill(signal);
    const ignore = () => {};
    process.on('SIGTERM', forward);
    process.on('SIGINT', ignore);
    child.on('error', reject);
    child.on('close', (code) => {
      process.off('SIGTERM', forward);
      process.off('SIGINT', ignore);
      resolve(code ?? 1);
    });
  });
}
