// The progress bar of a terminal: one line that everything else on the terminal scrolls past instead of tearing.
import cliProgress from 'cli-progress';
import pc from 'picocolors';
import type { Terminal } from './worker-process.js';

const CLEAR_LINE = '\r\x1b[2K';
/** cli-progress goes back to where the bar began when it ends, over the lines that have scrolled past since. */
const CURSOR_SAVE_AND_RESTORE = ['\x1b7', '\x1b8'];

export class ProgressBar {
  private readonly bar: cliProgress.SingleBar;
  private readonly restore: (() => void)[] = [];
  private isClosed = false;

  /** Drawn on standard error, which must be a terminal; nothing appears before the first `show`. */
  constructor(terminal: Terminal) {
    const screen = terminal.stderr as NodeJS.WriteStream;
    const write = screen.write.bind(screen) as (text: string) => boolean;
    const stream = Object.create(screen, {
      write: { value: (text: string) => CURSOR_SAVE_AND_RESTORE.includes(text) || write(text) },
    }) as NodeJS.WriteStream;
    this.bar = new cliProgress.SingleBar({
      stream,
      format: (_bar, { value, total }, payload: { text?: string }) =>
        barLine(value / total, payload.text ?? '', screen.columns ?? 80),
      forceRedraw: true,
      hideCursor: true,
      gracefulExit: false,
      fps: 5,
    });
    this.bar.start(1, 0, { text: 'starting' });
    // What else is written takes the bar's line; the bar is drawn again below it at the next tick.
    for (const other of [terminal.stderr, terminal.stdout] as NodeJS.WriteStream[]) {
      if (other.isTTY !== true) continue;
      const original = other.write;
      other.write = ((...parts: Parameters<typeof original>) => {
        write(CLEAR_LINE);
        return original.apply(other, parts);
      }) as typeof original;
      this.restore.push(() => {
        other.write = original;
      });
    }
  }

  /** @param share of the run that is done, 0 to 1 */
  show(share: number, text: string): void {
    if (!this.isClosed) this.bar.update(share, { text });
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.bar.stop();
    for (const restore of this.restore) restore();
  }
}

/** @param columns of the terminal; the bar takes what the text leaves, 10 to 40 */
export function barLine(share: number, text: string, columns: number): string {
  const room = columns - 1;
  const size = Math.max(10, Math.min(40, room - text.length - 8));
  const filled = Math.round(size * Math.min(1, Math.max(0, share)));
  const percent = `${Math.floor(100 * share)}%`.padStart(4);
  const shown = text.slice(0, Math.max(0, room - size - 8));
  return `${percent} ${pc.cyan('█'.repeat(filled))}${pc.dim('░'.repeat(size - filled))}  ${shown}`;
}
