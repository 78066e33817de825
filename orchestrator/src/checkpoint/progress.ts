// Progress of work on bytes: a bar on a terminal, nothing for what is over soon, a line every tenth otherwise.
import cliProgress from 'cli-progress';

export interface ByteProgress {
  update(doneBytes: number, totalBytes: number): void;
  close(): void;
}

/** Below this nobody waits long enough to wonder. */
const WORTH_SHOWING_BYTES = 64e6;

export function byteProgress(what: string, quiet: boolean): ByteProgress {
  const bar = new cliProgress.SingleBar(
    { format: `${what} [{bar}] {percentage}% of {size} | {eta_formatted} left`, hideCursor: true },
    cliProgress.Presets.shades_classic,
  );
  const terminal = process.stderr.isTTY === true;
  let started = false;
  let tenth = 0;
  return {
    update(done, total) {
      if (quiet || total < WORTH_SHOWING_BYTES) return;
      if (terminal) {
        if (!started) bar.start(total, 0, { size: formatBytes(total) });
        started = true;
        bar.update(done);
      } else if (Math.floor((10 * done) / total) > tenth) {
        tenth = Math.floor((10 * done) / total);
        process.stderr.write(`${what} ${10 * tenth}% of ${formatBytes(total)}\n`);
      }
    },
    close() {
      if (started) bar.stop();
    },
  };
}

/** In powers of 1000, as disks are sold. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let size = bytes;
  let unit = 0;
  for (; size >= 1000 && unit < units.length - 1; unit++) size /= 1000;
  return `${unit === 0 ? size : size.toFixed(size < 10 ? 2 : 1)} ${units[unit]}`;
}
