package vitrum.sample

import android.content.Context
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Matrix
import android.view.MotionEvent
import android.view.View

/** A picture that fills the view's width or height, with a mask over it; tells taps in pixels of the picture. */
class PictureView(context: Context) : View(context) {
    var onTap: (Float, Float) -> Unit = { _, _ -> }

    private var picture: Bitmap? = null
    private var mask: Bitmap? = null
    private val place = Matrix()

    fun show(bitmap: Bitmap) {
        picture = bitmap
        mask = null
        invalidate()
    }

    /** [pixels] are 1 where the object is, row after row. */
    fun showMask(pixels: ByteArray, width: Int, height: Int) {
        val colours = IntArray(pixels.size) { if (pixels[it].toInt() == 1) 0xA02FD6A8.toInt() else 0 }
        mask = Bitmap.createBitmap(colours, width, height, Bitmap.Config.ARGB_8888)
        invalidate()
    }

    override fun onDraw(canvas: Canvas) {
        val shown = picture ?: return
        val scale = minOf(width.toFloat() / shown.width, height.toFloat() / shown.height)
        place.setScale(scale, scale)
        canvas.drawBitmap(shown, place, null)
        mask?.let { canvas.drawBitmap(it, place, null) }
    }

    override fun onTouchEvent(event: MotionEvent): Boolean {
        val shown = picture ?: return false
        if (event.action == MotionEvent.ACTION_UP) {
            val inverse = Matrix().also { place.invert(it) }
            val point = floatArrayOf(event.x, event.y).also { inverse.mapPoints(it) }
            if (point[0] in 0f..shown.width.toFloat() && point[1] in 0f..shown.height.toFloat()) onTap(point[0], point[1])
            performClick()
        }
        return true
    }

    override fun performClick(): Boolean = super.performClick()
}
