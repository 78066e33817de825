// The progress bar of a terminal: one line that other output of this process scrolls past instead of tearing.
import cliProgress from 'cli-progress';
import pc from 'picocolors';
import type { StepRecord } from '../step-record.js';

/** Weight of the newest step in the shown speed and remaining time. */
const NEWEST = 0.1;
const CLEAR_LINE = '\r\x1b[2K';
/** cli-progress goes back to where the bar began when it ends, over the lines that have scrolled past since. */
const CURSOR_SAVE_AND_RESTORE = ['\x1b7', '\x1b8'];

export interface ProgressOptions {
  readonly totalSteps: number;
  readonly stepsPerEpoch: number;
  readonly startStep: number;
}

export class ProgressBar {
  private readonly terminal: NodeJS.WriteStream;
  private readonly bar: cliProgress.SingleBar;
  private readonly originalWrite: NodeJS.WriteStream['write'];
  private readonly options: ProgressOptions;
  private stepMs: number | undefined;

  constructor(terminal: NodeJS.WriteStream, options: ProgressOptions) {
    this.terminal = terminal;
    this.options = options;
    this.originalWrite = terminal.write;
    const write = terminal.write.bind(terminal) as (text: string) => boolean;
    const screen = Object.create(terminal, {
      write: { value: (text: string) => CURSOR_SAVE_AND_RESTORE.includes(text) || write(text) },
    }) as NodeJS.WriteStream;
    this.bar = new cliProgress.SingleBar({
      stream: screen,
      format: (_bar, { value, total }, payload: { text?: string }) =>
        progressLine(value / Math.max(1, total), payload.text ?? 'starting', terminal.columns ?? 80),
      forceRedraw: true,
      hideCursor: true,
      gracefulExit: false,
      fps: 5,
    });
    this.bar.start(options.totalSteps, options.startStep, {});
    // Log lines of this process take the bar's line; it is drawn again below them at the next tick.
    terminal.write = ((...parts: Parameters<typeof write>) => {
      write(CLEAR_LINE);
      return write(...parts);
    }) as NodeJS.WriteStream['write'];
  }

  step(record: StepRecord): void {
    this.stepMs = this.stepMs === undefined ? record.stepMs : this.stepMs + NEWEST * (record.stepMs - this.stepMs);
    this.bar.update(record.step, { text: progressText(record, this.stepMs, this.options) });
  }

  message(line: string): void {
    this.terminal.write(`${line}\n`);
  }

  close(): void {
    this.bar.stop();
    this.terminal.write = this.originalWrite;
  }
}

/** What stands behind the bar, most important first because narrow terminals cut it. */
export function progressText(record: StepRecord, stepMs: number, options: ProgressOptions): string {
  const remaining = ((options.totalSteps - record.step) * stepMs) / 1000;
  const waiting = record.stepMs > 0 ? (100 * record.dataWaitMs) / record.stepMs : 0;
  return [
    `step ${record.step}/${options.totalSteps}`,
    `ETA ${duration(remaining)}`,
    `loss ${record.loss.toFixed(3)}`,
    `${record.imagesPerSecond.toFixed(record.imagesPerSecond < 10 ? 1 : 0)} img/s`,
    `data wait ${waiting.toFixed(0)}%`,
    `epoch ${record.epoch}`,
  ].join('  ');
}

/** @param columns of the terminal; the bar takes what the text leaves, 10 to 40 */
export function progressLine(share: number, text: string, columns: number): string {
  const room = columns - 1;
  const size = Math.max(10, Math.min(40, room - text.length - 8));
  const filled = Math.round(size * Math.min(1, Math.max(0, share)));
  const percent = `${Math.floor(100 * share)}%`.padStart(4);
  const shown = text.slice(0, Math.max(0, room - size - 8));
  return `${percent} ${pc.cyan('█'.repeat(filled))}${pc.dim('░'.repeat(size - filled))}  ${shown}`;
}

/** `42s`, `3m07s`, `5h02m`, `2d04h`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  const whole = Math.max(0, Math.round(seconds));
  const two = (value: number) => String(value).padStart(2, '0');
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m${two(whole % 60)}s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)}h${two(Math.floor((whole % 3600) / 60))}m`;
  return `${Math.floor(whole / 86_400)}d${two(Math.floor((whole % 86_400) / 3600))}h`;
}
