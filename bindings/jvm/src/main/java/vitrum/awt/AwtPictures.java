package vitrum.awt;

import java.awt.image.BufferedImage;
import java.awt.image.Raster;
import java.io.File;
import java.io.IOException;
import javax.imageio.ImageIO;
import vitrum.Picture;

/** Pictures of a JVM with {@code java.desktop}; not part of the Android package. */
public final class AwtPictures {
    private AwtPictures() {}

    /**
     * Reads a file that {@link ImageIO} can decode: JPEG, PNG, GIF, BMP and what plugins add. It is not turned as its EXIF
     * orientation says.
     *
     * @param file a picture
     * @return the picture
     * @throws IOException if it cannot be read, or is of another kind
     */
    public static Picture read(File file) throws IOException {
        BufferedImage image = ImageIO.read(file);
        if (image == null) {
            throw new IOException(file + ": no decoder for such a file");
        }
        return of(image);
    }

    /**
     * A copy of a picture.
     *
     * @param image any type; its transparency is dropped, not blended
     * @return the picture
     */
    public static Picture of(BufferedImage image) {
        int width = image.getWidth();
        int height = image.getHeight();
        if (image.getType() == BufferedImage.TYPE_BYTE_GRAY) {
            // getRGB would take the grey values for linear light, and make them brighter.
            Raster raster = image.getRaster();
            byte[] gray = (byte[]) raster.getDataElements(0, 0, width, height, new byte[width * height]);
            return Picture.of(gray, Picture.Format.GRAY, width, height);
        }
        return Picture.argb(image.getRGB(0, 0, width, height, null, 0, width), width, height);
    }
}
