// Progress of a preparation: a bar on a terminal, a line every tenth otherwise.
import cliProgress from 'cli-progress';

export interface Progress {
  readonly update: (done: number, total: number, note?: string) => void;
  readonly close: () => void;
}

export function openProgress(what: string): Progress {
  const terminal = process.stderr.isTTY === true;
  const bar = new cliProgress.SingleBar(
    { format: `${what} [{bar}] {percentage}% | {eta_formatted} left{note}`, hideCursor: true, noTTYOutput: false },
    cliProgress.Presets.shades_classic,
  );
  let started = false;
  let tenth = 0;
  return {
    update(done, total, note = '') {
      if (terminal) {
        if (!started) bar.start(total, 0, { note: '' });
        started = true;
        bar.update(done, { note: note === '' ? '' : ` | ${note}` });
      } else if (Math.floor((10 * done) / total) > tenth) {
        tenth = Math.floor((10 * done) / total);
        process.stderr.write(`${what} ${10 * tenth}%${note === '' ? '' : `, ${note}`}\n`);
      }
    },
    close() {
      if (started) bar.stop();
    },
  };
}
