package vitrum.sample

import android.app.Activity
import android.content.Intent
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.net.Uri
import android.os.Bundle
import android.widget.Button
import android.widget.LinearLayout
import android.widget.TextView
import java.util.concurrent.Executors
import vitrum.Cancellation
import vitrum.Embedding
import vitrum.Prompt
import vitrum.Sam
import vitrum.VitrumException
import vitrum.android.AndroidPictures
import vitrum.android.AssetModels

/** Pick a picture, tap something in it, and it is cut out. */
class MainActivity : Activity() {
    // Model and embedding belong to this thread: they are made, used and closed there, in the order in which that is asked for.
    private val work = Executors.newSingleThreadExecutor()
    private var sam: Sam? = null
    private var embedding: Embedding? = null

    private lateinit var picture: PictureView
    private lateinit var status: TextView
    private var encoding = Cancellation()

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        status = TextView(this).apply { text = "Pick a picture" }
        picture = PictureView(this).apply { onTap = { x, y -> cutOut(x, y) } }
        val pick = Button(this).apply {
            text = "Picture"
            setOnClickListener {
                val documents = Intent(Intent.ACTION_OPEN_DOCUMENT).setType("image/*").addCategory(Intent.CATEGORY_OPENABLE)
                startActivityForResult(documents, 0)
            }
        }
        setContentView(LinearLayout(this).apply {
            orientation = LinearLayout.VERTICAL
            addView(pick)
            addView(status)
            addView(picture, LinearLayout.LayoutParams(LinearLayout.LayoutParams.MATCH_PARENT, 0, 1f))
        })
        inBackground { sam = Sam.load(AssetModels.files(assets, "sam"), Sam.Options()) }
    }

    @Deprecated("Enough for one screen without libraries")
    override fun onActivityResult(request: Int, result: Int, data: Intent?) {
        val chosen = data?.data ?: return
        // Only the newest picture is wanted.
        encoding.cancel()
        val own = Cancellation().also { encoding = it }
        inBackground {
            embedding?.close()
            embedding = null
            val bitmap = read(chosen)
            show("Encoding") { picture.show(bitmap) }
            embedding = sam?.encode(AndroidPictures.of(bitmap), own)
            show("Tap something")
        }
    }

    private fun cutOut(x: Float, y: Float) = inBackground {
        val encoded = embedding ?: return@inBackground
        sam?.predict(encoded, Prompt.click(x.toDouble(), y.toDouble()))?.use { prediction ->
            val best = prediction.best()
            val pixels = best.pixels()
            show("%d pixels, score %.2f".format(best.area, best.score)) {
                picture.showMask(pixels, encoded.width, encoded.height)
            }
        }
    }

    private fun read(uri: Uri): Bitmap {
        val bytes = contentResolver.openInputStream(uri)!!.use { it.readBytes() }
        val size = BitmapFactory.Options().apply { inJustDecodeBounds = true }
        BitmapFactory.decodeByteArray(bytes, 0, bytes.size, size)
        var sample = 1
        while (maxOf(size.outWidth, size.outHeight) / sample > 2048) sample *= 2
        return BitmapFactory.decodeByteArray(bytes, 0, bytes.size, BitmapFactory.Options().apply { inSampleSize = sample })
            ?: throw IllegalArgumentException("This picture cannot be read")
    }

    private fun inBackground(job: () -> Unit) {
        work.execute {
            try {
                job()
            } catch (e: VitrumException) {
                show(e.message ?: e.status.name)
            } catch (e: Exception) {
                show(e.toString())
            }
        }
    }

    private fun show(text: String, also: () -> Unit = {}) = runOnUiThread {
        status.text = text
        also()
    }

    override fun onDestroy() {
        encoding.cancel()
        work.execute {
            embedding?.close()
            sam?.close()
        }
        work.shutdown()
        super.onDestroy()
    }
}
