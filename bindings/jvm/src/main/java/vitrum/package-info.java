/**
 * CLIP, SAM and SAM 2 on CPUs. {@link vitrum.Clip} compares pictures and texts, {@link vitrum.Sam} finds masks from clicks, boxes and
 * words, {@link vitrum.Tracker} follows objects through a video.
 *
 * <p>What fails throws a {@link vitrum.VitrumException}; what owns memory of the library is closed. Any thread may call, and several
 * may use one model at the same time.
 */
package vitrum;
