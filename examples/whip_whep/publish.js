// The page of who publishes.
'use strict';

// What runs between Publish and Stop; null in between.
let running = null;

async function publish(source) {
  if (running) return;
  showError(null);
  const mine = running = { stream: null, session: null };
  buttons();
  try {
    mine.stream = await source();
    if (running !== mine) return release(mine);
    element('local').srcObject = mine.stream;
    // Sharing may be ended outside of the page.
    mine.stream.getVideoTracks()[0].onended = () => stop();
    const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    for (const track of mine.stream.getTracks()) {
      const transceiver = pc.addTransceiver(track, { direction: 'sendonly', streams: [mine.stream] });
      if (track.kind === 'video') prefer(transceiver, options.get('codec'));
    }
    mine.session = new Session(pc, token());
    mine.session.onstate = state => {
      if (running !== mine) return;
      showState(state);
      if (state === 'connected') showCodec(pc);
      if (state === 'failed' || state === 'closed') stop('The session was lost, or somebody else publishes here now.');
    };
    await mine.session.start(resource('whip'));
  } catch (error) {
    if (running !== mine) return;
    stop(error.message);
    if (error.status === 401) askForToken(() => publish(source));
  }
}

function stop(why) {
  const ended = running;
  running = null;
  if (ended) release(ended);
  element('local').srcObject = null;
  element('codec').textContent = '–';
  showState(why ? 'failed' : 'idle');
  showError(why);
  buttons();
}

function release({ stream, session }) {
  stream?.getTracks().forEach(track => track.stop());
  session?.end();
}

function prefer(transceiver, codec) {
  if (!codec) return;
  const all = RTCRtpSender.getCapabilities('video').codecs;
  const wanted = all.filter(({ mimeType }) => mimeType.toLowerCase() === `video/${codec.toLowerCase()}`);
  if (!wanted.length) throw new Error(`This browser has no ${codec}.`);
  const helpers = all.filter(({ mimeType }) => /\/(rtx|red|ulpfec|flexfec-03)$/.test(mimeType));
  transceiver.setCodecPreferences([...wanted, ...helpers]);
}

function showCodec(pc) {
  const sender = pc.getSenders().find(({ track }) => track?.kind === 'video');
  element('codec').textContent = sender?.getParameters().codecs[0]?.mimeType.replace('video/', '') ?? '–';
}

function buttons() {
  element('camera').disabled = element('screen').disabled = Boolean(running);
  element('stop').disabled = !running;
}

function devices() {
  if (navigator.mediaDevices) return navigator.mediaDevices;
  throw new Error('The browser gives camera and screen only to pages from localhost or https.');
}

const width = { ideal: Number(options.get('width') ?? 1280) };
const camera = async () => devices().getUserMedia({ video: { width }, audio: true });
const shareScreen = async () => devices().getDisplayMedia({ video: true, audio: true });

element('camera').onclick = () => publish(camera);
element('screen').onclick = () => publish(shareScreen);
element('stop').onclick = () => stop();
element('name').textContent = options.get('stream') ?? 'default';
element('watch').search = location.search;
addEventListener('pagehide', () => stop());
