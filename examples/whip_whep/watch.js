// The page of who watches. It comes again by itself when its session is lost.
'use strict';

let session = null;
let patience = 1000;
let begun = 0;

async function watch() {
  const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  const stream = new MediaStream();
  for (const kind of ['audio', 'video']) pc.addTransceiver(kind, { direction: 'recvonly' });
  pc.ontrack = ({ track }) => {
    stream.addTrack(track);
    element('remote').srcObject = stream;
  };
  const mine = session = new Session(pc, token());
  mine.onstate = state => {
    if (session !== mine) return;
    showState(state);
    if (state === 'connected') { patience = 1000; showError(null); }
    if (state === 'failed' || state === 'closed') comeAgain('The session was lost.');
  };
  begun = performance.now();
  try {
    await mine.start(resource('whep'));
  } catch (error) {
    if (session !== mine) return;
    if (error.status === 401) askForToken(watch);
    // What the server will not take now, it will not take later, but for want of room.
    const hopeless = error.status >= 400 && error.status < 500;
    if (hopeless) { mine.end(); showState('failed'); return showError(error.message); }
    comeAgain(error.message);
  }
}

function comeAgain(why) {
  showError(`${why} Trying again.`);
  session?.end();
  session = null;
  setTimeout(watch, patience);
  patience = Math.min(patience * 2, 30000);
}

// Frames tell whether somebody publishes: the connection is up all the time.
const video = element('remote');
let lastFrame = -Infinity;
let firstFrame = 0;
function see() {
  lastFrame = performance.now();
  firstFrame ||= lastFrame - begun;
  video.requestVideoFrameCallback(see);
}
video.requestVideoFrameCallback(see);
setInterval(() => {
  const live = performance.now() - lastFrame < 2000;
  element('picture').textContent = live ? `${video.videoWidth} × ${video.videoHeight}` : 'nobody publishes';
}, 500);

// A page may not make sound before its visitor has done something.
element('sound').onclick = () => {
  video.muted = !video.muted;
  video.play();
};
video.onvolumechange = () => { element('sound').textContent = video.muted ? 'Sound on' : 'Sound off'; };

element('name').textContent = options.get('stream') ?? 'default';
element('publish').search = location.search;
addEventListener('pagehide', () => { const ended = session; session = null; ended?.end(); });
watch();
