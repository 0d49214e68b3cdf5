package vitrum;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * A closed outline along the edges of pixels: corner (x, y) is the left upper corner of pixel (x, y), and the last corner is joined
 * to the first. Filling all of a mask's outlines, by either of the usual rules, gives the mask back.
 */
public final class Polygon {
    private final int[] corners;
    private final int part;
    private final boolean hole;

    private Polygon(int[] corners, int part, boolean hole) {
        this.corners = corners;
        this.part = part;
        this.hole = hole;
    }

    /** Of the native part's answer: all corners, and of each polygon where it begins, its corners, its part, whether it is a hole. */
    static List<Polygon> all(int[][] answer) {
        int[] corners = answer[0];
        int[] polygons = answer[1];
        List<Polygon> all = new ArrayList<>(polygons.length / 4);
        for (int i = 0; i < polygons.length; i += 4) {
            int[] own = new int[2 * polygons[i + 1]];
            System.arraycopy(corners, 2 * polygons[i], own, 0, own.length);
            all.add(new Polygon(own, polygons[i + 2], polygons[i + 3] == 1));
        }
        return Collections.unmodifiableList(all);
    }

    /**
     * The corners; outer outlines run clockwise on the screen, holes counter-clockwise.
     *
     * @return x and y in turn
     */
    public int[] corners() {
        return corners.clone();
    }

    /**
     * The connected part of the mask that it belongs to. Pixels that touch at an edge or a corner are connected.
     *
     * @return counted from 0
     */
    public int getPart() {
        return part;
    }

    /**
     * Whether it is a hole in its part, whose outer outline came before.
     *
     * @return false for the outer outline
     */
    public boolean isHole() {
        return hole;
    }
}
