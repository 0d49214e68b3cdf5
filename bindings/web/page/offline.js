// The page without a network: a service worker keeps its files.

/** Says in `place` whether the page works without a network. @param {HTMLElement} place */
export function watchOffline(place) {
  if (!("serviceWorker" in navigator)) {
    place.textContent = window.isSecureContext ? "not in this browser" : "needs https";
    return;
  }
  place.textContent = "being prepared";
  navigator.serviceWorker.register("sw.js").then(async () => {
    await navigator.serviceWorker.ready;
    place.textContent = "ready";
  }).catch((error) => {
    place.textContent = "no";
    place.title = String(error);
  });
}
