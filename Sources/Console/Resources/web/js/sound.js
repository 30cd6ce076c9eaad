// Tones for alarms that nobody has acknowledged: one pattern a level, repeated every ten seconds.

const PATTERNS = { 1: [[880, 0, .18], [660, .22, .18], [880, .44, .18], [660, .66, .18]], 2: [[740, 0, .2], [740, .3, .2]], 3: [[523, 0, .25]], 4: [[392, 0, .2]] };
const REPEAT = 10_000, MUTE = 60_000;

/** Sounds while unacknowledged alarms stand, if the person has switched it on. */
export class Annunciator extends EventTarget {
  constructor(store) {
    super();
    this.store = store;
    this.on = localStorage.getItem('davy.sound') === 'on';
    this.mutedUntil = 0;
    this.context = null;
    this.last = 0;
    store.addEventListener('raised', () => this.sound(true));
    setInterval(() => this.sound(false), 1000);
    // A browser lets sound begin only after a touch or a key.
    for (const name of ['pointerdown', 'keydown']) addEventListener(name, () => this.on && this.wake(), { passive: true });
  }

  /** on, off, muted, or blocked while the browser waits for a touch. */
  get state() {
    if (!this.on) return 'off';
    if (Date.now() < this.mutedUntil) return 'muted';
    return this.context?.state === 'running' ? 'on' : 'blocked';
  }

  toggle() {
    this.on = !this.on;
    localStorage.setItem('davy.sound', this.on ? 'on' : 'off');
    if (this.on) this.wake();
    this.tell();
  }

  mute() {
    this.mutedUntil = Date.now() < this.mutedUntil ? 0 : Date.now() + MUTE;
    this.tell();
  }

  wake() {
    this.context ??= new AudioContext();
    if (this.context.state !== 'running') this.context.resume().then(() => this.tell(), () => this.tell());
  }

  tell() { this.dispatchEvent(new Event('change')); }

  sound(isNew) {
    const state = this.state;
    if (state !== this.told) { this.told = state; this.tell(); }
    if (state !== 'on') return;
    const now = Date.now();
    if (!isNew && now - this.last < REPEAT) return;
    if (isNew && now - this.last < 1500) return;
    const worst = this.store.worstWaiting;
    if (!worst) return;
    this.last = now;
    for (const [frequency, start, length] of PATTERNS[worst]) this.tone(frequency, start, length);
  }

  tone(frequency, start, length) {
    const at = this.context.currentTime + start;
    const gain = this.context.createGain();
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(.25, at + .01);
    gain.gain.setValueAtTime(.25, at + length - .03);
    gain.gain.linearRampToValueAtTime(0, at + length);
    const tone = this.context.createOscillator();
    tone.frequency.value = frequency;
    tone.connect(gain).connect(this.context.destination);
    tone.start(at);
    tone.stop(at + length);
  }
}
